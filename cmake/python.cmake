# The Python package: build/<preset>/python/tallow, for PYTHONPATH; the wheel is made of it.
find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module)

set(package ${PROJECT_BINARY_DIR}/python/tallow)
set(generated ${PROJECT_BINARY_DIR}/python-bindings)
set(generator ${PROJECT_SOURCE_DIR}/python/generate.py)
file(GLOB_RECURSE generator_parts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/python/generator/*.py)
file(GLOB op_headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/tallow/ops/*.h)

set(bindings ${generated}/bind_all.cpp ${generated}/bind_tensor.cpp)
foreach(header ${op_headers})
  cmake_path(GET header STEM family)
  list(APPEND bindings ${generated}/bind_${family}.cpp)
endforeach()
# The stamp is what ninja looks at, so that a binding whose text did not change is not compiled.
add_custom_command(
  OUTPUT ${generated}/stamp
  BYPRODUCTS ${bindings}
  COMMAND ${Python_EXECUTABLE} ${generator} bindings ${generated}
  COMMAND ${CMAKE_COMMAND} -E touch ${generated}/stamp
  DEPENDS ${generator} ${generator_parts} ${op_headers} ${PROJECT_SOURCE_DIR}/include/tallow/tensor.h
  COMMENT "Generating the Python bindings")
add_custom_target(tallow_bindings DEPENDS ${generated}/stamp)

file(GLOB python_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/python/src/*.cpp)
Python_add_library(tallow_python MODULE WITH_SOABI ${python_sources} ${bindings})
add_dependencies(tallow_python tallow_bindings)
tallow_private_settings(tallow_python)
target_include_directories(tallow_python PRIVATE ${PROJECT_SOURCE_DIR}/python/src)
target_link_libraries(tallow_python PRIVATE tallow_all)
set_source_files_properties(${bindings} PROPERTIES COMPILE_OPTIONS -Os)
set_target_properties(tallow_python PROPERTIES OUTPUT_NAME _C LIBRARY_OUTPUT_DIRECTORY ${package}
                                               CXX_VISIBILITY_PRESET hidden)

# The package's Python files are linked, so that an edit needs no build.
file(GLOB_RECURSE package_files CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/python/tallow
     ${PROJECT_SOURCE_DIR}/python/tallow/*.py)
foreach(file ${package_files})
  cmake_path(GET file PARENT_PATH folder)
  file(MAKE_DIRECTORY ${package}/${folder})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/python/tallow/${file} ${package}/${file} SYMBOLIC)
endforeach()
