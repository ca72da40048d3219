# Finds the OpenMM that the Python interpreter would import (its wheel carries headers and libraries in
# OpenMM.libs) and defines OpenMM::OpenMM, OpenMM_LIBRARY_DIR, OpenMM_PLUGIN_DIR and OpenMM_VERSION.
# Set OpenMM_ROOT to use another one that has include/ and lib/.

if(NOT OpenMM_ROOT)
    execute_process(COMMAND ${Python_EXECUTABLE} -c
        "import importlib.util as u, os; print(os.path.join(os.path.dirname(list(u.find_spec('openmm').submodule_search_locations)[0]), 'OpenMM.libs'))"
        OUTPUT_VARIABLE OpenMM_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
execute_process(COMMAND ${Python_EXECUTABLE} -c
    "from importlib.metadata import version; print(version('openmm'))"
    OUTPUT_VARIABLE OpenMM_VERSION OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)

find_path(OpenMM_INCLUDE_DIR OpenMM.h HINTS ${OpenMM_ROOT}/include NO_DEFAULT_PATH)
find_library(OpenMM_LIBRARY OpenMM HINTS ${OpenMM_ROOT}/lib NO_DEFAULT_PATH)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OpenMM REQUIRED_VARS OpenMM_LIBRARY OpenMM_INCLUDE_DIR
    VERSION_VAR OpenMM_VERSION
    REASON_FAILURE_MESSAGE "install it with: ${Python_EXECUTABLE} -m pip install 'openmm==8.6.*'")

if(OpenMM_FOUND AND NOT TARGET OpenMM::OpenMM)
    get_filename_component(OpenMM_LIBRARY_DIR ${OpenMM_LIBRARY} DIRECTORY)
    set(OpenMM_PLUGIN_DIR ${OpenMM_LIBRARY_DIR}/plugins)
    add_library(OpenMM::OpenMM SHARED IMPORTED)
    set_target_properties(OpenMM::OpenMM PROPERTIES
        IMPORTED_LOCATION ${OpenMM_LIBRARY}
        INTERFACE_INCLUDE_DIRECTORIES ${OpenMM_INCLUDE_DIR})
    # The CPU platform's data (its thread pool) is reached through this one.
    add_library(OpenMM::CPU SHARED IMPORTED)
    set_target_properties(OpenMM::CPU PROPERTIES
        IMPORTED_LOCATION ${OpenMM_PLUGIN_DIR}/libOpenMMCPU.so
        INTERFACE_INCLUDE_DIRECTORIES ${OpenMM_INCLUDE_DIR})
endif()
