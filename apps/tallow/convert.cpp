// `tallow convert`: a model or tensors in another format.
#include "tallow/convert.h"

#include "model.h"
#include "progress.h"
#include "tallow/error.h"

namespace tallow::app {

int convert(const ConvertCommandOptions& options) {
  ConvertOptions o;
  if (!options.dtype.empty()) {
    o.dtype = dtype_from_name(options.dtype);
    if (!o.dtype) {
      fail("--dtype: ", options.dtype, " is not known; try f32, f16, bf16, q8_0 or q4_0, or for ",
           "mixes such as q4_k_m `tallow quantize`");
    }
  }
  o.big_endian = options.endian == "big";
  o.max_shard_bytes = static_cast<int64_t>(options.max_shard_gigabytes * 1e9);
  Bar bar("converting");
  o.progress = [&](std::string_view name, int64_t done, int64_t total) {
    bar.update(name, done, total);
  };
  tallow::convert(find_model(options.in), options.out, o);
  return 0;
}

}  // namespace tallow::app
