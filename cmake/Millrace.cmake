# Helpers of the build: what a folder has to say in its own CMakeLists.txt.
#
#   mr_library(bus SOURCES bus.c kafka.c LINK mr_clock PRIVATE mr_rdkafka)   -> target mr_bus
#   mr_program(millrace-validator SOURCES main.c validate.c LINK mr_stage)
#   mr_test(unit bus SOURCES test_bus.c LINK mr_bus [TIMEOUT seconds])       -> ctest unit.bus
#
# The parts that tools/deps brings are imported targets here: mr_rdkafka, mr_duckdb, mr_llhttp.

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON) # cleanup attribute, statement expressions in MR_TAKE
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

set(MILLRACE_DEPS "${CMAKE_SOURCE_DIR}/build/deps" CACHE PATH "Where tools/deps put its parts")
option(MILLRACE_SANITIZE "Address and undefined behaviour sanitizers" OFF)
option(MILLRACE_FUZZ "Build the fuzz targets with libFuzzer (clang)" OFF)
if(MILLRACE_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
pkg_check_modules(SSL REQUIRED IMPORTED_TARGET libssl)
pkg_check_modules(JWT REQUIRED IMPORTED_TARGET libjwt)
pkg_check_modules(CBOR REQUIRED IMPORTED_TARGET libcbor)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
find_library(NNG_LIBRARY nng REQUIRED)
find_library(CMOCKA_LIBRARY cmocka)
find_program(PROTOC protoc REQUIRED)
find_program(PROTOC_C protoc-c REQUIRED)

add_library(mr_flags INTERFACE)
target_compile_options(mr_flags INTERFACE -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes
    -Wmissing-prototypes -Wwrite-strings -Wpointer-arith -Wformat=2 -Wvla -Wconversion
    -Wno-sign-conversion -Wno-format-zero-length -fno-strict-aliasing)
target_compile_definitions(mr_flags INTERFACE _GNU_SOURCE
    MILLRACE_VERSION="${PROJECT_VERSION}")
target_include_directories(mr_flags INTERFACE ${CMAKE_SOURCE_DIR}/lib)
if(MILLRACE_SANITIZE)
    # gcc's flow warnings are not made for instrumented code: the plain build keeps them.
    target_compile_options(mr_flags INTERFACE -fsanitize=address,undefined
        -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1
        $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation;-Wno-maybe-uninitialized;-Wno-conversion>)
    target_link_options(mr_flags INTERFACE -fsanitize=address,undefined)
endif()

set(deps_hint "run tools/deps first")
function(mr_need path)
    if(NOT EXISTS ${path})
        message(FATAL_ERROR "${path} is missing: ${deps_hint}")
    endif()
endfunction()

# Debian 13's own is as good as ours, and there the images take it.
add_library(mr_rdkafka INTERFACE)
pkg_check_modules(RDKAFKA IMPORTED_TARGET rdkafka>=2.8)
if(RDKAFKA_FOUND AND NOT EXISTS ${MILLRACE_DEPS}/librdkafka)
    target_link_libraries(mr_rdkafka INTERFACE PkgConfig::RDKAFKA)
else()
    mr_need(${MILLRACE_DEPS}/librdkafka/lib/librdkafka.a)
    target_include_directories(mr_rdkafka SYSTEM INTERFACE ${MILLRACE_DEPS}/librdkafka/include)
    target_link_libraries(mr_rdkafka INTERFACE ${MILLRACE_DEPS}/librdkafka/lib/librdkafka.a
        ssl crypto z zstd m dl Threads::Threads)
endif()

mr_need(${MILLRACE_DEPS}/duckdb/lib/libduckdb.so)
add_library(mr_duckdb SHARED IMPORTED)
set_target_properties(mr_duckdb PROPERTIES
    IMPORTED_LOCATION ${MILLRACE_DEPS}/duckdb/lib/libduckdb.so
    IMPORTED_NO_SONAME ON
    INTERFACE_INCLUDE_DIRECTORIES ${MILLRACE_DEPS}/duckdb/include)

find_library(LLHTTP_LIBRARY llhttp)
if(LLHTTP_LIBRARY)
    add_library(mr_llhttp INTERFACE)
    target_link_libraries(mr_llhttp INTERFACE ${LLHTTP_LIBRARY})
else()
    mr_need(${MILLRACE_DEPS}/llhttp/include/llhttp.h)
    file(GLOB llhttp_sources ${MILLRACE_DEPS}/llhttp/src/*.c)
    add_library(mr_llhttp STATIC ${llhttp_sources})
    target_include_directories(mr_llhttp SYSTEM PUBLIC ${MILLRACE_DEPS}/llhttp/include)
    target_compile_options(mr_llhttp PRIVATE -w)
endif()

# A folder takes part as soon as it says how.
macro(mr_add folder)
    if(EXISTS ${CMAKE_SOURCE_DIR}/${folder}/CMakeLists.txt)
        add_subdirectory(${CMAKE_SOURCE_DIR}/${folder})
    endif()
endmacro()

function(mr_library name)
    cmake_parse_arguments(arg "" "" "SOURCES;LINK;PRIVATE" ${ARGN})
    add_library(mr_${name} STATIC ${arg_SOURCES})
    target_link_libraries(mr_${name} PUBLIC mr_flags ${arg_LINK} PRIVATE ${arg_PRIVATE})
endfunction()

function(mr_program name)
    cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
    add_executable(${name} ${arg_SOURCES})
    target_link_libraries(${name} PRIVATE mr_flags ${arg_LINK})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin
        BUILD_RPATH ${MILLRACE_DEPS}/duckdb/lib)
endfunction()

# label: unit, component, golden, driver, fuzz, e2e, fault, docs, style
function(mr_test label name)
    cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LINK;ENV" ${ARGN})
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 60)
    endif()
    add_executable(test_${label}_${name} ${arg_SOURCES})
    target_link_libraries(test_${label}_${name} PRIVATE mr_flags ${arg_LINK} ${CMOCKA_LIBRARY})
    target_include_directories(test_${label}_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/support)
    set_target_properties(test_${label}_${name} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests
        BUILD_RPATH ${MILLRACE_DEPS}/duckdb/lib)
    add_test(NAME ${label}.${name} COMMAND test_${label}_${name})
    set_tests_properties(${label}.${name} PROPERTIES LABELS ${label} TIMEOUT ${arg_TIMEOUT}
        ENVIRONMENT "MILLRACE_SOURCE=${CMAKE_SOURCE_DIR};MILLRACE_BUILD=${CMAKE_BINARY_DIR};${arg_ENV}")
endfunction()

# A fuzz target: with libFuzzer, or replaying its corpus as an ordinary test.
function(mr_fuzz name)
    cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
    set(corpus ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name})
    add_executable(fuzz_${name} ${arg_SOURCES})
    target_link_libraries(fuzz_${name} PRIVATE mr_flags ${arg_LINK})
    target_compile_options(fuzz_${name} PRIVATE -Wno-missing-prototypes)
    set_target_properties(fuzz_${name} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests BUILD_RPATH ${MILLRACE_DEPS}/duckdb/lib)
    if(MILLRACE_FUZZ)
        target_compile_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
        target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
        set(dict ${CMAKE_SOURCE_DIR}/tests/fuzz/${name}.dict)
        if(EXISTS ${dict})
            set(dict_option -dict=${dict})
        endif()
        add_test(NAME fuzz.${name} COMMAND fuzz_${name} -max_total_time=20 -rss_limit_mb=2048
                 ${dict_option} ${CMAKE_BINARY_DIR}/corpus-${name} ${corpus})
        file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/corpus-${name})
    else()
        target_sources(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/support/fuzz_main.c)
        add_test(NAME fuzz.${name} COMMAND fuzz_${name} ${corpus})
    endif()
    set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 120)
endfunction()
