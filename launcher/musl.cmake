# MUSL_FOLDER has musl's archive and start files, for a gcc of another C library (Debian: musl-tools).
# It is empty if they are not installed or not wanted.
set(MUSL_FOLDER "")
if(UTSBROKER_MUSL_LAUNCHER AND NOT UTSBROKER_SANITIZE AND NOT CMAKE_CROSSCOMPILING
   AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
  find_program(MUSL_GCC musl-gcc)
  mark_as_advanced(MUSL_GCC)
  if(MUSL_GCC)
    # musl-gcc is gcc with a specs file, which is in the library's folder.
    execute_process(COMMAND "${MUSL_GCC}" -v OUTPUT_VARIABLE said ERROR_VARIABLE said)
    string(REGEX MATCH "specs from ([^\n]*)/musl-gcc\\.specs" said "${said}")
    set(folder "${CMAKE_MATCH_1}")
    if(folder AND EXISTS "${folder}/rcrt1.o" AND EXISTS "${folder}/libc.a")
      set(MUSL_FOLDER "${folder}")
    endif()
  endif()
endif()
if(MUSL_FOLDER)
  check_linker_flag(C "-Wl,--no-dynamic-linker" HAVE_NO_DYNAMIC_LINKER) # gold does not know it
  if(NOT HAVE_NO_DYNAMIC_LINKER)
    set(MUSL_FOLDER "")
  endif()
endif()
if(MUSL_FOLDER)
  message(STATUS "utsrun: with musl of ${MUSL_FOLDER}")
endif()

function(target_compile_musl target)
  set_property(TARGET ${target} PROPERTY POSITION_INDEPENDENT_CODE)
  # With -fexceptions, which distributions set, cleanup functions need libgcc_eh, and that needs glibc.
  target_compile_options(${target} PRIVATE -fPIE -fno-exceptions "-specs=${MUSL_FOLDER}/musl-gcc.specs")
endfunction()

# Compiles and links @target with musl: static and position independent. The specs do not know
# -static-pie, so its options are written out here: rcrt1.o relocates the program at its start.
function(target_use_musl target)
  target_compile_musl(${target})
  target_link_options(
    ${target} PRIVATE "-specs=${MUSL_FOLDER}/musl-gcc.specs" -static -nostartfiles -Wl,-pie
    -Wl,--no-dynamic-linker -Wl,-z,text "${MUSL_FOLDER}/rcrt1.o" "${MUSL_FOLDER}/crti.o")
  target_link_libraries(${target} PRIVATE "${MUSL_FOLDER}/crtn.o")
endfunction()
