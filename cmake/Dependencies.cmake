# Third-party packages, all from Debian 12 (libgit2 from its backports).
# Each one has a single owner among the libraries, which links it PRIVATE
# unless docs/architecture.md says otherwise.
find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(LibArchive 3.6 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(prometheus-cpp REQUIRED)
find_package(CURL 7.85 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(libgit2 REQUIRED IMPORTED_TARGET libgit2>=1.7)
pkg_check_modules(libssh REQUIRED IMPORTED_TARGET libssh>=0.10)
pkg_check_modules(libyaml REQUIRED IMPORTED_TARGET yaml-0.1>=0.2.5)
pkg_check_modules(re2 REQUIRED IMPORTED_TARGET re2)
# Its -pthread defines _REENTRANT, which would keep the precompiled header from being used.
set_target_properties(PkgConfig::re2 PROPERTIES INTERFACE_COMPILE_OPTIONS "")
find_package(mimalloc QUIET)
if(SLUICE_BUILD_TESTS)
  find_package(Catch2 2.13 REQUIRED)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers are cached only with these; see ccache(1), "PRECOMPILED HEADERS".
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      # Paths below the checkout do not count, so that a second clone finds what the first one built.
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE_PROGRAM})
endif()
find_program(MOLD_PROGRAM mold)
