# tallow_library(NAME FOLDER [LINK targets] [EXTERNAL names] [HEADERS_OF packages] [OBJECTS targets])
# makes the static library tallow_NAME of every .cpp below FOLDER. A folder without one makes an
# interface library, so that a part can be built before the parts it rests on exist.
#   LINK        targets below it, passed on to whoever links it
#   EXTERNAL    third-party libraries (cmake/external.cmake)
#   HEADERS_OF  header-only packages, seen by this library alone
#   OBJECTS     object libraries that go into its archive; their sources are left out of the glob
function(tallow_library name folder)
  cmake_parse_arguments(arg "" "" "LINK;EXTERNAL;HEADERS_OF;OBJECTS" ${ARGN})
  set(target tallow_${name})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${folder}/*.cpp)
  foreach(object ${arg_OBJECTS})
    get_target_property(taken ${object} SOURCES)
    list(REMOVE_ITEM sources ${taken})
    list(APPEND objects $<TARGET_OBJECTS:${object}>)
  endforeach()
  list(REMOVE_ITEM sources ${TALLOW_ISA_SKIPPED} "")

  if(sources OR objects)
    add_library(${target} STATIC ${sources} ${objects})
    set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX)
    set(scope PUBLIC)
    tallow_private_settings(${target})
    foreach(package ${arg_HEADERS_OF})
      target_include_directories(${target} SYSTEM PRIVATE ${${package}_INCLUDE_DIRS})
    endforeach()
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()

  list(TRANSFORM arg_EXTERNAL PREPEND tallow::)
  target_compile_features(${target} ${scope} cxx_std_20)
  target_include_directories(${target} ${scope} $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                                $<INSTALL_INTERFACE:include>)
  target_link_libraries(${target} ${scope} ${arg_LINK} ${arg_EXTERNAL})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  add_library(tallow::${name} ALIAS ${target})
  set_property(GLOBAL APPEND PROPERTY TALLOW_LIBRARIES ${target})
endfunction()
