# Kernels that are compiled for one instruction set each, never for the machine at hand:
#   FOLDER/isa/*.cpp             once per level: portable, avx2, avx512
#   FOLDER/**/*_<level>.cpp      once, with the flags of that level (avx2 to amx)
# Each object sees TALLOW_ISA_NAMESPACE (isa_avx2, ...) and TALLOW_ISA_LEVEL (0 portable, 1 avx2,
# 2 avx512, 3 vnni, 4 bf16, 5 amx). Only code that has asked CPUID may call into them.
set(isa_flags_portable "")
set(isa_flags_avx2 -mavx2 -mfma -mf16c -mbmi2)
set(isa_flags_avx512 ${isa_flags_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl
                     -mprefer-vector-width=512)
set(isa_flags_vnni ${isa_flags_avx512} -mavx512vnni)
set(isa_flags_bf16 ${isa_flags_vnni} -mavx512bf16)
set(isa_flags_amx ${isa_flags_bf16} -mamx-tile -mamx-bf16 -mamx-int8)

# Sets TALLOW_ISA_TARGETS to the object libraries, and TALLOW_ISA_SKIPPED to the sources that this
# processor family has no use for.
function(tallow_isa_libraries folder)
  set(x86 FALSE)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
    set(x86 TRUE)
  endif()
  set(level 0)
  foreach(isa portable avx2 avx512 vnni bf16 amx)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${folder}/*_${isa}.cpp)
    if(isa MATCHES "^(portable|avx2|avx512)$")
      file(GLOB_RECURSE shared CONFIGURE_DEPENDS ${folder}/isa/*.cpp)
      list(FILTER shared EXCLUDE REGEX "_(avx2|avx512|vnni|bf16|amx)\\.cpp$")
      list(APPEND sources ${shared})
      list(REMOVE_DUPLICATES sources)
    endif()
    if(NOT x86 AND NOT isa STREQUAL portable)
      list(FILTER sources EXCLUDE REGEX "/isa/[^/]*$")
      list(APPEND skipped ${sources})
    elseif(sources)
      set(optimize -O3)
      if(x86 AND isa STREQUAL portable)
        set(optimize -O2)  # for machines of before 2013 only: small
      endif()
      add_library(tallow_isa_${isa} OBJECT ${sources})
      tallow_private_settings(tallow_isa_${isa})
      target_include_directories(tallow_isa_${isa} PRIVATE ${PROJECT_SOURCE_DIR}/include)
      target_compile_options(tallow_isa_${isa} PRIVATE
        ${isa_flags_${isa}} $<$<CONFIG:Release>:${optimize}> -ffp-contract=fast -fno-math-errno
        # g++ 12 warns of what its own _mm512_undefined_epi32 leaves open.
        $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized>)
      target_compile_definitions(tallow_isa_${isa} PRIVATE
        TALLOW_ISA_NAMESPACE=isa_${isa} TALLOW_ISA_LEVEL=${level})
      # What a file is quantized to must not depend on the machine.
      set(encoders ${sources})
      list(FILTER encoders INCLUDE REGEX "/encode_[^/]*$")
      set_source_files_properties(${encoders} PROPERTIES COMPILE_OPTIONS -ffp-contract=off)
      list(APPEND targets tallow_isa_${isa})
    endif()
    math(EXPR level "${level} + 1")
  endforeach()
  set(TALLOW_ISA_TARGETS ${targets} PARENT_SCOPE)
  set(TALLOW_ISA_SKIPPED ${skipped} PARENT_SCOPE)
endfunction()
