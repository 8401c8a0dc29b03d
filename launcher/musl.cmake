# MUSL_FOLDER is where the archive and the start files of musl are, for a gcc on a machine of another
# C library that has them (Debian: musl-tools); empty if there is none, or if it is not wanted.
set(MUSL_FOLDER "")
if(UTSBROKER_MUSL_LAUNCHER AND NOT UTSBROKER_SANITIZE AND NOT CMAKE_CROSSCOMPILING
   AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
  find_program(MUSL_GCC musl-gcc)
  mark_as_advanced(MUSL_GCC)
  if(MUSL_GCC)
    # musl-gcc is gcc with a file of its own of specs, which lies beside the library.
    execute_process(COMMAND "${MUSL_GCC}" -v OUTPUT_VARIABLE said ERROR_VARIABLE said)
    string(REGEX MATCH "specs from ([^\n]*)/musl-gcc\\.specs" said "${said}")
    set(folder "${CMAKE_MATCH_1}")
    if(folder AND EXISTS "${folder}/rcrt1.o" AND EXISTS "${folder}/libc.a")
      set(MUSL_FOLDER "${folder}")
    endif()
  endif()
endif()
if(MUSL_FOLDER)
  message(STATUS "utsrun: with musl of ${MUSL_FOLDER}")
endif()

# Compiles and links @target with musl, statically, position independent. The specs know no
# -static-pie, so what that means is spelt out: rcrt1.o relocates the program at its start.
function(target_use_musl target)
  set_property(TARGET ${target} PROPERTY POSITION_INDEPENDENT_CODE)
  target_compile_options(${target} PRIVATE -fPIE "-specs=${MUSL_FOLDER}/musl-gcc.specs")
  target_link_options(
    ${target} PRIVATE "-specs=${MUSL_FOLDER}/musl-gcc.specs" -static -nostartfiles -Wl,-pie
    -Wl,--no-dynamic-linker -Wl,-z,text "${MUSL_FOLDER}/rcrt1.o" "${MUSL_FOLDER}/crti.o")
  target_link_libraries(${target} PRIVATE "${MUSL_FOLDER}/crtn.o")
endfunction()
