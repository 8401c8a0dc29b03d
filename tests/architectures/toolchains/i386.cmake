set(triplet i686-linux-gnu)
set(CMAKE_SYSTEM_PROCESSOR i686)
# The compiler and the folder of libraries have different names.
set(CMAKE_LIBRARY_ARCHITECTURE i386-linux-gnu)
include("${CMAKE_CURRENT_LIST_DIR}/debian.cmake")
