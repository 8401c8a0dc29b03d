# The seccomp filters, compiled for the machine that the broker runs on by a generator that runs on the one that
# builds it: libseccomp knows the system calls of both. `filter-table` and FILTER_TABLE_TARGET are what others use.
try_compile(
  TARGET_ARCHITECTURE_COMPILED "${CMAKE_CURRENT_BINARY_DIR}/target-architecture"
  SOURCES "${CMAKE_CURRENT_SOURCE_DIR}/target-architecture.c"
  OUTPUT_VARIABLE said
  COPY_FILE "${CMAKE_CURRENT_BINARY_DIR}/target-architecture.bin")
if(NOT TARGET_ARCHITECTURE_COMPILED)
  message(FATAL_ERROR "the compiler does not say which architecture it compiles for:\n${said}")
endif()
set(FILTER_TABLE_TARGET "")
foreach(fact architecture order)
  file(STRINGS "${CMAKE_CURRENT_BINARY_DIR}/target-architecture.bin" said LIMIT_COUNT 1
       REGEX "filter-table-${fact}=[a-z0-9_]+[.]")
  string(REGEX MATCH "filter-table-${fact}=([a-z0-9_]+)" said "${said}")
  list(APPEND FILTER_TABLE_TARGET "${CMAKE_MATCH_1}")
endforeach()
list(LENGTH FILTER_TABLE_TARGET facts)
if(NOT facts EQUAL 2 OR FILTER_TABLE_TARGET MATCHES "unknown")
  message(FATAL_ERROR "broker/target-architecture.c does not know the architecture that is compiled for")
endif()
list(GET FILTER_TABLE_TARGET 0 architecture)
string(REPLACE ";" " " words "${FILTER_TABLE_TARGET}")
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/filter-table-target" "${words}\n") # for tests/architectures
message(STATUS "The seccomp filters are for ${architecture}")

# A compiler of the build machine is only needed where the other's programs do not run here.
if(CMAKE_CROSSCOMPILING AND NOT CMAKE_C_COMPILER_FOR_BUILD)
  find_program(CMAKE_C_COMPILER_FOR_BUILD NAMES cc gcc clang NO_CMAKE_FIND_ROOT_PATH REQUIRED
               DOC "Compiler for programs that run while this is built")
endif()
if(CMAKE_C_COMPILER_FOR_BUILD)
  # Neither flags nor pkg-config's folders are this compiler's: both are the target's.
  set(UTSBROKER_LIBSECCOMP_FOR_BUILD "-lseccomp" CACHE STRING
      "Options with which CMAKE_C_COMPILER_FOR_BUILD finds libseccomp")
  separate_arguments(options UNIX_COMMAND "${UTSBROKER_LIBSECCOMP_FOR_BUILD}")
  set(FILTER_TABLE "${CMAKE_CURRENT_BINARY_DIR}/filter-table")
  add_custom_command(
    OUTPUT "${FILTER_TABLE}"
    COMMAND "${CMAKE_C_COMPILER_FOR_BUILD}" -std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I "${PROJECT_SOURCE_DIR}/include" -o
            "${FILTER_TABLE}" "${CMAKE_CURRENT_SOURCE_DIR}/filter-table.c" ${options}
    DEPENDS filter-table.c "${PROJECT_SOURCE_DIR}/include/utsbroker/base.h"
    COMMENT "Building filter-table for this machine"
    VERBATIM)
  add_custom_target(filter-table DEPENDS "${FILTER_TABLE}")
else()
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(LIBSECCOMP REQUIRED IMPORTED_TARGET GLOBAL libseccomp)
  add_executable(filter-table filter-table.c)
  target_link_libraries(filter-table PRIVATE utsbroker_flags utsbroker_strict PkgConfig::LIBSECCOMP)
  set(FILTER_TABLE "$<TARGET_FILE:filter-table>")
endif()
foreach(program session ledger)
  add_custom_command(
    OUTPUT filter-table-${program}.inc
    COMMAND "${FILTER_TABLE}" ${program} ${FILTER_TABLE_TARGET} > filter-table-${program}.inc
    DEPENDS filter-table "$<$<BOOL:${CMAKE_C_COMPILER_FOR_BUILD}>:${CMAKE_CURRENT_BINARY_DIR}/filter-table>"
    COMMENT "Compiling the seccomp filter: ${program}"
    VERBATIM)
endforeach()
