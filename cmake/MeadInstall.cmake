# `cmake --install` gives a self-contained bundle: bin/, lib/ with every shared
# library but libc's, and LibTorch's wheels in the layout in which they find each other.

set(site lib/mead/site-packages)
set(torch_folders torch/lib)
foreach(folder cu13 cudnn nccl cusparselt nvshmem)
  list(APPEND torch_folders nvidia/${folder}/lib)
endforeach()

get_property(programs GLOBAL PROPERTY MEAD_PROGRAMS)
list(FILTER programs INCLUDE REGEX "^mead")
set(rpath "$ORIGIN/../lib")
foreach(folder IN LISTS torch_folders)
  list(APPEND rpath "$ORIGIN/../${site}/${folder}")
endforeach()
foreach(program IN LISTS programs)
  if(program STREQUAL mead-trainer)
    set_target_properties(${program} PROPERTIES INSTALL_RPATH "${rpath}")
  else()
    set_target_properties(${program} PROPERTIES INSTALL_RPATH "$ORIGIN/../lib")
  endif()
endforeach()
install(TARGETS ${programs} RUNTIME_DEPENDENCY_SET mead_libraries DESTINATION bin)
# LibTorch's are installed below; the C library and the driver belong to the machine.
install(RUNTIME_DEPENDENCY_SET mead_libraries DESTINATION lib
  PRE_EXCLUDE_REGEXES "^lib(c|m|pthread|dl|rt|resolv)\\.so" "^ld-linux"
    "^lib(torch|c10|shm|cud|cublas|cufft|cufile|curand|cusolver|cusparse|nccl|nvrtc|nvJitLink|nvshmem|nvToolsExt|gomp|cupti|cuda)"
  POST_EXCLUDE_REGEXES ".*/site-packages/.*")
foreach(folder IN LISTS torch_folders)
  install(DIRECTORY ${MEAD_SITE_PACKAGES}/${folder}/ DESTINATION ${site}/${folder}
    FILES_MATCHING PATTERN "*.so*" PATTERN "libtorch_python.so" EXCLUDE)
endforeach()
