# How every target of this project is built.

add_library(sluice_options INTERFACE)
target_compile_options(sluice_options INTERFACE -Wall -Wextra -Wconversion -Wno-sign-conversion -fpch-preprocess)
# Asio's own coroutine frames trip this check of g++ 12 at -O2 (GCC bug 105562 and kin).
target_compile_options(sluice_options INTERFACE $<$<CONFIG:Release>:-Wno-maybe-uninitialized>)
if(SLUICE_WERROR)
  target_compile_options(sluice_options INTERFACE -Werror)
endif()
# Functions that nobody calls are left out of the binaries: a daemon is to be small.
target_compile_options(sluice_options INTERFACE $<$<CONFIG:Release>:-ffunction-sections -fdata-sections>)
target_link_options(sluice_options INTERFACE $<$<CONFIG:Release>:-Wl,--gc-sections>)
# Without optimisation: the tests run half as fast, and the build, which is longer, takes half the time.
if(SLUICE_SANITIZE)
  target_compile_options(sluice_options INTERFACE -fsanitize=${SLUICE_SANITIZE} -fno-omit-frame-pointer)
  if(SLUICE_SANITIZE STREQUAL "thread")
    target_compile_options(sluice_options INTERFACE -Wno-tsan)
  endif()
  target_link_options(sluice_options INTERFACE -fsanitize=${SLUICE_SANITIZE})
endif()
if(MOLD_PROGRAM)
  target_link_options(sluice_options INTERFACE -fuse-ld=mold)
endif()
# Asio and Beast are compiled once, in libs/rt and libs/http.
target_compile_definitions(sluice_options INTERFACE
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
  BOOST_ERROR_CODE_HEADER_ONLY JSON_USE_IMPLICIT_CONVERSIONS=0 JSON_DIAGNOSTICS=0)
target_include_directories(sluice_options INTERFACE ${CMAKE_SOURCE_DIR}/libs)
target_link_libraries(sluice_options INTERFACE Threads::Threads nlohmann_json::nlohmann_json)

# The precompiled header names Asio, so whoever uses it needs Asio's compiled part.
add_library(sluice_asio STATIC ${CMAKE_SOURCE_DIR}/libs/rt/asio.cpp)
target_link_libraries(sluice_asio PRIVATE sluice_options)

# One precompiled header for all: the standard library, JSON and Asio's
# awaitable, which together cost five seconds a file.
file(WRITE ${CMAKE_BINARY_DIR}/pch/sluice_pch.cpp "")
add_library(sluice_pch OBJECT ${CMAKE_BINARY_DIR}/pch/sluice_pch.cpp)
set_target_properties(sluice_pch PROPERTIES POSITION_INDEPENDENT_CODE OFF)
target_compile_options(sluice_pch PRIVATE -fPIC)
target_link_libraries(sluice_pch PRIVATE sluice_options)
target_precompile_headers(sluice_pch PRIVATE
  <algorithm> <array> <atomic> <chrono> <cstdint> <functional> <map> <memory> <mutex> <optional> <set> <span>
  <sstream> <stop_token> <string> <string_view> <thread> <unordered_map> <utility> <variant> <vector>
  <nlohmann/json.hpp> <boost/asio/awaitable.hpp>)

function(sluice_common target)
  target_link_libraries(${target} PRIVATE sluice_options sluice_asio)
  # CMake would give programs -fPIE, and a header precompiled with -fPIC does not fit that.
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${target} PRIVATE -fPIC)
  target_precompile_headers(${target} REUSE_FROM sluice_pch)
endfunction()

# sluice_library(NAME [PUBLIC lib...] [PRIVATE lib...])
# A library is its folder: every .cpp in libs/NAME (and libs/NAME/*/).
function(sluice_library name)
  cmake_parse_arguments(arg "" "" "PUBLIC;PRIVATE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cpp */*.cpp)
  list(FILTER sources EXCLUDE REGEX "/rt/asio\\.cpp$")
  file(GLOB headers CONFIGURE_DEPENDS *.hpp)
  if(sources)
    add_library(sluice_${name} STATIC ${sources})
    sluice_common(sluice_${name})
    target_link_libraries(sluice_${name} PUBLIC nlohmann_json::nlohmann_json ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
    target_include_directories(sluice_${name} PUBLIC ${CMAKE_SOURCE_DIR}/libs)
  else()
    add_library(sluice_${name} INTERFACE)
    target_link_libraries(sluice_${name} INTERFACE nlohmann_json::nlohmann_json ${arg_PUBLIC} ${arg_PRIVATE})
    target_include_directories(sluice_${name} INTERFACE ${CMAKE_SOURCE_DIR}/libs)
  endif()
  add_library(sluice::${name} ALIAS sluice_${name})
  set_property(GLOBAL APPEND PROPERTY SLUICE_PUBLIC_HEADERS ${headers})
endfunction()

# sluice_daemon(NAME lib...): a daemon's folder becomes a library that its
# tests link, and a binary with main.cpp on top.
function(sluice_daemon name)
  file(GLOB sources CONFIGURE_DEPENDS *.cpp)
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  if(sources)
    add_library(sluice_${name} STATIC ${sources})
    sluice_common(sluice_${name})
    target_link_libraries(sluice_${name} PUBLIC ${ARGN})
  else()
    add_library(sluice_${name} INTERFACE)
    target_link_libraries(sluice_${name} INTERFACE ${ARGN})
  endif()
  target_include_directories(sluice_${name} INTERFACE ${CMAKE_SOURCE_DIR}/controllers)
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/main.cpp)
    add_executable(${name} main.cpp)
    sluice_common(${name})
    target_link_libraries(${name} PRIVATE sluice_${name} CLI11::CLI11)
    if(TARGET mimalloc AND NOT SLUICE_SANITIZE)
      target_link_libraries(${name} PRIVATE mimalloc)
    endif()
    install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endfunction()

# sluice_test(NAME lib...): one Catch2 program of all .cpp in the current folder.
function(sluice_test name)
  file(GLOB sources CONFIGURE_DEPENDS *.cpp)
  if(NOT sources OR NOT SLUICE_UNIT_TESTS)
    return()
  endif()
  add_executable(${name}_tests ${sources})
  sluice_common(${name}_tests)
  target_include_directories(${name}_tests PRIVATE ${CMAKE_SOURCE_DIR}/tests ${CMAKE_SOURCE_DIR}/controllers)
  target_link_libraries(${name}_tests PRIVATE ${ARGN} sluice_test_main)
  add_test(NAME unit.${name} COMMAND ${name}_tests --use-colour no WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  # A bound on what hangs; with sanitizers and without optimisation, tests take several times as long.
  set(limit 300)
  if(SLUICE_SANITIZE)
    set(limit 1200)
  endif()
  set_tests_properties(unit.${name} PROPERTIES LABELS unit TIMEOUT ${limit})
  add_dependencies(unit_tests ${name}_tests)
  if(name IN_LIST SLUICE_CONCURRENT_TESTS)
    set_tests_properties(unit.${name} PROPERTIES LABELS "unit;concurrency")
    add_dependencies(tsan_tests ${name}_tests)
  endif()
endfunction()
