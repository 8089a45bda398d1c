# Libraries without a CMake package: tallow_external(NAME HEADER LIBRARY...) makes the imported
# target tallow::NAME. Installed beside tallowConfig.cmake, which uses it too. The libraries after
# the first are those that its static archive needs.
function(tallow_external name header library)
  find_path(TALLOW_${name}_INCLUDE ${header})
  # Debian's other builds of OpenBLAS give wrong numbers when two threads call them.
  find_library(TALLOW_${name}_LIBRARY NAMES lib${library}.a ${library}
               PATH_SUFFIXES openblas-pthread)
  if(NOT TALLOW_${name}_INCLUDE OR NOT TALLOW_${name}_LIBRARY)
    message(FATAL_ERROR "tallow: ${name} not found (${header}, lib${library}); install it, or "
                        "run scripts/setup.sh")
  endif()
  set(libraries ${TALLOW_${name}_LIBRARY})
  if(TALLOW_${name}_LIBRARY MATCHES "\\.a$")
    foreach(needed ${ARGN})
      find_library(TALLOW_${name}_${needed} NAMES lib${needed}.a ${needed} REQUIRED
                   PATHS ${CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES})
      # The compiler's own archives are not position-independent: a module loads the shared ones.
      if(TALLOW_${name}_${needed} MATCHES "/gcc/")
        list(APPEND libraries "$<IF:$<STREQUAL:$<TARGET_PROPERTY:TYPE>,MODULE_LIBRARY>,${needed},${TALLOW_${name}_${needed}}>")
      else()
        list(APPEND libraries ${TALLOW_${name}_${needed}})
      endif()
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
