# Finds the CPU half of the LibTorch that the Python interpreter's torch package carries, without importing it, and
# defines LibTorch::LibTorch and LibTorch_VERSION. Set LibTorch_ROOT to a folder with include/ and lib/ to use another.
# LibTorch::CUDA is defined where its CUDA half can be compiled against, that is where all packages are installed that torch depends on.
#
# torch's own CMake package is not used: it insists on the CUDA compiler and on libtorch_cuda. libtorch_cpu needs
# libcudart and libcupti all the same, which lie in nvidia/cu<major>/lib beside the torch package.

if(NOT LibTorch_ROOT)
    execute_process(COMMAND ${Python_EXECUTABLE} -c
        "import importlib.util as u; print(list(u.find_spec('torch').submodule_search_locations)[0])"
        OUTPUT_VARIABLE LibTorch_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()

find_path(LibTorch_INCLUDE_DIR ATen/ATen.h HINTS ${LibTorch_ROOT}/include NO_DEFAULT_PATH)
find_library(LibTorch_CPU_LIBRARY torch_cpu HINTS ${LibTorch_ROOT}/lib NO_DEFAULT_PATH)
find_library(LibTorch_C10_LIBRARY c10 HINTS ${LibTorch_ROOT}/lib NO_DEFAULT_PATH)
if(LibTorch_INCLUDE_DIR)
    set(LibTorch_VERSION "")
    foreach(part MAJOR MINOR PATCH)
        file(STRINGS ${LibTorch_INCLUDE_DIR}/torch/headeronly/version.h line REGEX "define TORCH_VERSION_${part} ")
        string(REGEX MATCH "[0-9]+$" number "${line}")
        list(APPEND LibTorch_VERSION ${number})
    endforeach()
    list(JOIN LibTorch_VERSION "." LibTorch_VERSION)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
    REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR
    VERSION_VAR LibTorch_VERSION
    REASON_FAILURE_MESSAGE "install it with: ${Python_EXECUTABLE} -m pip install torch (or with --no-deps, then also nvidia-cuda-runtime and nvidia-cuda-cupti)")

if(LibTorch_FOUND AND NOT TARGET LibTorch::LibTorch)
    add_library(LibTorch::c10 SHARED IMPORTED)
    set_target_properties(LibTorch::c10 PROPERTIES IMPORTED_LOCATION ${LibTorch_C10_LIBRARY})
    add_library(LibTorch::LibTorch SHARED IMPORTED)
    set_target_properties(LibTorch::LibTorch PROPERTIES
        IMPORTED_LOCATION ${LibTorch_CPU_LIBRARY}
        INTERFACE_INCLUDE_DIRECTORIES
            "${LibTorch_INCLUDE_DIR};${LibTorch_INCLUDE_DIR}/torch/csrc/api/include"
        INTERFACE_COMPILE_FEATURES cxx_std_20
        INTERFACE_LINK_LIBRARIES LibTorch::c10)
    # For the run path of programs, and for the linker to follow libtorch_cpu's own needs.
    get_filename_component(LibTorch_LIBRARY_DIR ${LibTorch_CPU_LIBRARY} DIRECTORY)
    file(GLOB LibTorch_CUDA_LIBRARY_DIRS ${LibTorch_ROOT}/../nvidia/cu*/lib)
    set(LibTorch_RPATH ${LibTorch_LIBRARY_DIR} ${LibTorch_CUDA_LIBRARY_DIRS})
    foreach(directory IN LISTS LibTorch_RPATH)
        set_property(TARGET LibTorch::LibTorch APPEND PROPERTY
            INTERFACE_LINK_OPTIONS "LINKER:-rpath-link,${directory}")
    endforeach()
endif()

find_library(LibTorch_CUDA_LIBRARY torch_cuda HINTS ${LibTorch_ROOT}/lib NO_DEFAULT_PATH)
find_library(LibTorch_C10_CUDA_LIBRARY c10_cuda HINTS ${LibTorch_ROOT}/lib NO_DEFAULT_PATH)
file(GLOB LibTorch_NVIDIA_INCLUDE_DIRS ${LibTorch_ROOT}/../nvidia/*/include)
set(LibTorch_CUDA_INCLUDE_DIRS "")
set(LibTorch_CUDA_FOUND ${LibTorch_FOUND})
# NCCL's header must be of the very version that this LibTorch was made with, which its own dependency is.
find_path(LibTorch_nccl.h_DIR nccl.h HINTS ${LibTorch_NVIDIA_INCLUDE_DIRS} NO_DEFAULT_PATH)
foreach(header cuda_runtime_api.h cublas_v2.h cusparse.h cusolverDn.h)
    find_path(LibTorch_${header}_DIR ${header} HINTS ${LibTorch_NVIDIA_INCLUDE_DIRS} PATHS /usr/local/cuda/include)
endforeach()
foreach(header cuda_runtime_api.h cublas_v2.h cusparse.h cusolverDn.h nccl.h)
    list(APPEND LibTorch_CUDA_INCLUDE_DIRS ${LibTorch_${header}_DIR})
    if(NOT LibTorch_${header}_DIR)
        set(LibTorch_CUDA_FOUND OFF)
    endif()
endforeach()
list(REMOVE_DUPLICATES LibTorch_CUDA_INCLUDE_DIRS)
if(NOT LibTorch_CUDA_LIBRARY OR NOT LibTorch_C10_CUDA_LIBRARY)
    set(LibTorch_CUDA_FOUND OFF)
endif()
if(LibTorch_CUDA_FOUND AND NOT TARGET LibTorch::CUDA)
    add_library(LibTorch::CUDA INTERFACE IMPORTED)
    target_include_directories(LibTorch::CUDA SYSTEM INTERFACE ${LibTorch_CUDA_INCLUDE_DIRS})
    # What libtorch_cuda itself needs is found when it is opened, on a machine with a GPU.
    target_link_libraries(LibTorch::CUDA INTERFACE LibTorch::LibTorch ${LibTorch_CUDA_LIBRARY}
        ${LibTorch_C10_CUDA_LIBRARY})
    target_link_options(LibTorch::CUDA INTERFACE LINKER:--allow-shlib-undefined)
endif()
