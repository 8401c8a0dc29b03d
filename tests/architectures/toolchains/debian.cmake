# For the cross compilers and the libraries of Debian (gcc-TRIPLET, lib*-dev:ARCHITECTURE). Included by the file of
# an architecture, which sets @triplet and CMAKE_SYSTEM_PROCESSOR.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_C_COMPILER "${triplet}-gcc")
if(NOT CMAKE_LIBRARY_ARCHITECTURE)
  set(CMAKE_LIBRARY_ARCHITECTURE "${triplet}")
endif()
# pkg-config would find the libraries of the machine that builds.
set(ENV{PKG_CONFIG_LIBDIR} "/usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/pkgconfig:/usr/share/pkgconfig")
