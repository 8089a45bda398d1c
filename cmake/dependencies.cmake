# Third-party libraries, from the system. Static archives are preferred, so that the command needs
# nothing on the machine it runs on.
find_package(Threads REQUIRED)
find_package(RapidJSON REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Boost 1.74 REQUIRED)  # Beast, which is headers
include(${CMAKE_CURRENT_LIST_DIR}/external.cmake)
tallow_external(pcre2 pcre2.h pcre2-8)
tallow_external(utf8proc utf8proc.h utf8proc)
tallow_external(zlib zlib.h z)
tallow_external(jpeg jpeglib.h jpeg NOT_PIC)
tallow_external(webp webp/demux.h webpdemux webp)
tallow_external(libedit histedit.h edit bsd md tinfo)
tallow_external(flac FLAC/stream_decoder.h FLAC ogg)
tallow_external(vorbis vorbis/codec.h vorbis ogg)
tallow_external(opus opus/opus_multistream.h opus NOT_PIC)
tallow_external(openblas cblas.h openblas gfortran quadmath)
tallow_external(mbedtls mbedtls/ssl.h mbedtls mbedx509 mbedcrypto)
