# Language level, warnings, sanitizers, ccache, and the helpers that declare targets.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(MEAD_CCACHE ccache)
if(MEAD_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${MEAD_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${MEAD_CCACHE})
endif()

# One translation unit with torch/torch.h takes about 1.1 GB: a pool of their own.
set_property(GLOBAL PROPERTY JOB_POOLS torch_pool=2)

find_package(Threads REQUIRED)

# Warnings and sanitizers of every target of ours.
function(mead_target_options target)
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR})
  # -Wrestrict: GCC 12 sees an overlap in `"literal" + std::string()` (GCC bug 105651).
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wconversion -Wshadow -Werror>
    $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict>
    # GCC 13 sees writes out of bounds in copies of std::vector (GCC bug 107852).
    $<$<AND:$<COMPILE_LANG_AND_ID:CXX,GNU>,$<VERSION_GREATER_EQUAL:$<CXX_COMPILER_VERSION>,13>>:-Wno-array-bounds>)
  if(MEAD_SANITIZE)
    target_compile_options(${target} PUBLIC -fsanitize=${MEAD_SANITIZE} -fno-omit-frame-pointer -g)
    # GCC 12 no longer sees through std::optional once its accesses are checked.
    target_compile_options(${target} PRIVATE
      $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized>)
    target_link_options(${target} PUBLIC -fsanitize=${MEAD_SANITIZE})
  endif()
endfunction()

# mead_library(NAME [TORCH] SOURCES ... DEPS ...): one per folder. What it may
# include is what it links: headers of ours are found from the source root, and
# tests/unit/layers checks that includes follow the declared DEPS.
function(mead_library name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;DEPS" ${ARGN})
  if(ARG_SOURCES)
    add_library(${name} STATIC ${ARG_SOURCES})
    mead_target_options(${name})
    target_link_libraries(${name} PUBLIC ${ARG_DEPS})
    if(ARG_TORCH)
      set_target_properties(${name} PROPERTIES JOB_POOL_COMPILE torch_pool)
    endif()
  else()
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${name} INTERFACE ${ARG_DEPS})
  endif()
endfunction()

# mead_program(NAME [TORCH] SOURCES ... DEPS ...)
function(mead_program name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  mead_target_options(${name})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
  # RPATH rather than RUNPATH: the installed bundle's libraries find each other by it.
  target_link_options(${name} PRIVATE -Wl,--disable-new-dtags)
  if(ARG_TORCH)
    set_target_properties(${name} PROPERTIES JOB_POOL_COMPILE torch_pool)
    # LibTorch exports symbols of an old protobuf; ours are static and stay inside.
    target_link_options(${name} PRIVATE -Wl,--exclude-libs,ALL)
  endif()
  set_property(GLOBAL APPEND PROPERTY MEAD_PROGRAMS ${name})
endfunction()

# mead_test(NAME [TORCH] LABEL unit TIMEOUT 60 SOURCES ... DEPS ...): a GoogleTest
# program; each of its tests is a CTest test named as the sentence it is.
function(mead_test name)
  cmake_parse_arguments(ARG "TORCH" "LABEL;TIMEOUT" "SOURCES;DEPS;ENVIRONMENT" ${ARGN})
  if(NOT ARG_LABEL OR NOT ARG_TIMEOUT)
    message(FATAL_ERROR "mead_test(${name}): LABEL and TIMEOUT are needed")
  endif()
  add_executable(${name} ${ARG_SOURCES})
  mead_target_options(${name})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gmock_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  if(ARG_TORCH)
    set_target_properties(${name} PROPERTIES JOB_POOL_COMPILE torch_pool)
    target_link_options(${name} PRIVATE -Wl,--exclude-libs,ALL)
  endif()
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 120 DISCOVERY_MODE PRE_TEST
    TEST_PREFIX "${ARG_LABEL}/"
    PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT}
    ENVIRONMENT "${ARG_ENVIRONMENT}")
endfunction()
