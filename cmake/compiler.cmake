# What every file of the project is compiled with.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)  # the archives also go into the Python module
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
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
  # g++ 12 reports the inactive members of a moved std::variant.
  target_compile_options(tallow_private INTERFACE -Wno-maybe-uninitialized)
endif()
target_include_directories(tallow_private INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_link_options(tallow_private INTERFACE -Wl,--gc-sections)

# Warnings, sections and the private include folder src/, for targets of this project only.
function(tallow_private_settings target)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:tallow_private>)
endfunction()
