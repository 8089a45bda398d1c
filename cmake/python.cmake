# The Python package: build/<preset>/python/tallow, for PYTHONPATH and for the wheel.
find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module)
execute_process(COMMAND ${Python_EXECUTABLE} -m nanobind --cmake_dir
                OUTPUT_VARIABLE nanobind_DIR OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status
                ERROR_QUIET)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "tallow: ${Python_EXECUTABLE} lacks nanobind: pip install nanobind, or name "
                      "another Python with -DPython_EXECUTABLE=")
endif()
find_package(nanobind CONFIG REQUIRED)

set(package ${PROJECT_BINARY_DIR}/python/tallow)
set(generated ${PROJECT_BINARY_DIR}/python-bindings)
set(generator ${PROJECT_SOURCE_DIR}/python/generate.py)
file(GLOB_RECURSE generator_parts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/python/generator/*.py
     ${PROJECT_SOURCE_DIR}/python/generator/*.pyi)
file(GLOB op_headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/tallow/ops/*.h)

set(bindings ${generated}/bind_all.cpp ${generated}/bind_tensor.cpp)
foreach(header ${op_headers})
  cmake_path(GET header STEM family)
  list(APPEND bindings ${generated}/bind_${family}.cpp)
endforeach()
# Only what changed is written, so that a binding whose text is the same is not compiled again.
add_custom_command(
  OUTPUT ${generated}/stamp
  BYPRODUCTS ${bindings}
  COMMAND ${Python_EXECUTABLE} ${generator} bindings ${generated}
  COMMAND ${Python_EXECUTABLE} ${generator} stubs ${package}
  COMMAND ${CMAKE_COMMAND} -E touch ${generated}/stamp
  DEPENDS ${generator} ${generator_parts} ${op_headers} ${PROJECT_SOURCE_DIR}/include/tallow/tensor.h
          ${PROJECT_SOURCE_DIR}/python/tallow/special.py
          ${PROJECT_SOURCE_DIR}/python/tallow/nn/functional.py
  COMMENT "Generating the Python bindings")
add_custom_target(tallow_bindings DEPENDS ${generated}/stamp)

file(GLOB python_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/python/src/*.cpp)
nanobind_add_module(tallow_python NB_STATIC NB_SUPPRESS_WARNINGS NOMINSIZE NOSTRIP
                    ${python_sources} ${bindings})
add_dependencies(tallow_python tallow_bindings)
tallow_private_settings(tallow_python)
target_precompile_headers(tallow_python PRIVATE ${TALLOW_PRECOMPILED} <tallow/ops.h>)
target_compile_definitions(tallow_python PRIVATE TALLOW_VERSION="${PROJECT_VERSION}")
target_include_directories(tallow_python PRIVATE ${PROJECT_SOURCE_DIR}/python/src)
target_link_libraries(tallow_python PRIVATE tallow_all)
if(NOT APPLE)  # another LAPACK in the process is neither used nor disturbed; calls are direct
  target_link_options(tallow_python PRIVATE -Wl,--exclude-libs,ALL)
endif()
set_source_files_properties(${bindings} PROPERTIES COMPILE_OPTIONS -Os)
set_target_properties(tallow_python PROPERTIES OUTPUT_NAME _C LIBRARY_OUTPUT_DIRECTORY ${package})

# The package's Python files are linked, so that an edit needs no build.
file(GLOB_RECURSE package_files CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/python/tallow
     ${PROJECT_SOURCE_DIR}/python/tallow/*.py ${PROJECT_SOURCE_DIR}/python/tallow/py.typed)
foreach(file ${package_files})
  cmake_path(GET file PARENT_PATH folder)
  file(MAKE_DIRECTORY ${package}/${folder})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/python/tallow/${file} ${package}/${file} SYMBOLIC)
endforeach()

if(SKBUILD)
  install(TARGETS tallow_python LIBRARY DESTINATION tallow COMPONENT python)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/python/tallow/ DESTINATION tallow COMPONENT python
          FILES_MATCHING PATTERN "*.py" PATTERN "py.typed" PATTERN "__pycache__" EXCLUDE)
  install(DIRECTORY ${package}/ DESTINATION tallow COMPONENT python FILES_MATCHING PATTERN "*.pyi")
endif()
