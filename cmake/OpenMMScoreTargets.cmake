# What every target of the project shares, as interface targets.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

add_library(openmmscore_warnings INTERFACE)
target_compile_options(openmmscore_warnings INTERFACE -Wall -Wextra
    # A constructor's argument may have the name of the member that it fills.
    $<$<CXX_COMPILER_ID:GNU>:-Wshadow=local>
    # GCC 12 warns of impossible copies in std::string (GCC bug 105651).
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
    $<$<BOOL:${OPENMMSCORE_WARNINGS_AS_ERRORS}>:-Werror>)
