# What every file of the project is compiled with.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)  # the archives also go into the Python module
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

# ccache keeps what was compiled with a precompiled header if it may overlook __TIME__ and macros
# that the header does not use.
find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
endif()

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
  set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -fno-omit-frame-pointer")
endif()

if(TALLOW_SANITIZE)
  # With the checks for null, GCC does not take it for known that a function has an address, which
  # the ops' constant initialization needs; the address sanitizer sees what they would.
  add_compile_options(-fsanitize=${TALLOW_SANITIZE} -fno-sanitize-recover=all
                      -fno-sanitize=null,nonnull-attribute,returns-nonnull-attribute)
  add_link_options(-fsanitize=${TALLOW_SANITIZE})
endif()

add_library(tallow_private INTERFACE)
target_compile_options(tallow_private INTERFACE -Wall -Wextra -Wpedantic -Wshadow
                       -Wnon-virtual-dtor -ffunction-sections -fdata-sections)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # g++ 12 reports the inactive members of a moved std::variant, and, of a precompiled <string>,
  # what it does not report of others: lengths that no string has. The macro of -Os would keep
  # files from taking a header that was compiled with -O2.
  target_compile_options(tallow_private INTERFACE -Wno-maybe-uninitialized -Wno-array-bounds
                         -Wno-stringop-overflow -Wno-restrict -U__OPTIMIZE_SIZE__)
else()
  # It knows no ivdep, and reports & between conditions, which is meant: loops without branches.
  target_compile_options(tallow_private INTERFACE -Wno-unknown-pragmas
                         -Wno-bitwise-instead-of-logical)
endif()
target_include_directories(tallow_private INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_link_options(tallow_private INTERFACE -Wl,--gc-sections)

# What most files include of the standard library, which is a third of the time to compile them:
# parsed once, for tallow_core and whoever reuses its header. Every file still includes what it
# uses; make lint compiles without, as clang does, whose files may differ in no option from it.
set(TALLOW_PRECOMPILED <algorithm> <array> <atomic> <bit> <charconv> <cmath> <complex> <cstdint>
    <cstring> <functional> <limits> <map> <memory> <mutex> <optional> <span> <string> <string_view>
    <unordered_map> <utility> <variant> <vector>)
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  set(CMAKE_DISABLE_PRECOMPILE_HEADERS ON)
endif()

# Warnings, sections and the private include folder src/, for targets of this project only.
function(tallow_private_settings target)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:tallow_private>)
endfunction()
