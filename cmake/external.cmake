# The archive, or in a module the shared library, where it is not position-independent.
function(tallow_in_module out archive library not_pic)
  if(not_pic AND archive MATCHES "\\.a$")
    set(archive "$<IF:$<STREQUAL:$<TARGET_PROPERTY:TYPE>,MODULE_LIBRARY>,${library},${archive}>")
  endif()
  set(${out} "${archive}" PARENT_SCOPE)
endfunction()

# Libraries without a CMake package: tallow_external(NAME HEADER LIBRARY...) makes the imported
# target tallow::NAME. Installed beside tallowConfig.cmake, which uses it too. The libraries after
# the first are those that its static archive needs. A module loads the shared library where the
# archive is not position-independent: NOT_PIC says so.
function(tallow_external name header library)
  cmake_parse_arguments(arg "NOT_PIC" "" "" ${ARGN})
  find_path(TALLOW_${name}_INCLUDE ${header})
  # Debian's other builds of OpenBLAS give wrong numbers when two threads call them.
  find_library(TALLOW_${name}_LIBRARY NAMES lib${library}.a ${library}
               PATH_SUFFIXES openblas-pthread)
  if(NOT TALLOW_${name}_INCLUDE OR NOT TALLOW_${name}_LIBRARY)
    message(FATAL_ERROR "tallow: ${name} not found (${header}, lib${library}); install it, or "
                        "run scripts/setup.sh")
  endif()
  tallow_in_module(libraries "${TALLOW_${name}_LIBRARY}" ${library} "${arg_NOT_PIC}")
  if(TALLOW_${name}_LIBRARY MATCHES "\\.a$")
    foreach(needed ${arg_UNPARSED_ARGUMENTS})
      find_library(TALLOW_${name}_${needed} NAMES lib${needed}.a ${needed} REQUIRED
                   PATHS ${CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES})
      # The compiler's own archives are not position-independent.
      string(REGEX MATCH "/gcc/" not_pic "${TALLOW_${name}_${needed}}")
      tallow_in_module(one "${TALLOW_${name}_${needed}}" ${needed} "${not_pic}")
      list(APPEND libraries "${one}")
    endforeach()
  endif()
  mark_as_advanced(TALLOW_${name}_INCLUDE TALLOW_${name}_LIBRARY)
  if(NOT TARGET tallow::${name})
    add_library(tallow::${name} INTERFACE IMPORTED GLOBAL)
    set_target_properties(tallow::${name} PROPERTIES
      INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${TALLOW_${name}_INCLUDE}"
      INTERFACE_LINK_LIBRARIES "${libraries}")
  endif()
endfunction()
