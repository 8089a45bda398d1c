// Language models: tallow.load("folder") and what it returns.
#include <nanobind/nanobind.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <mutex>

#include "hub.h"
#include "objects.h"
#include "tallow/error.h"
#include "tallow/json.h"
#include "tallow/language_model.h"
#include "tallow/limits.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace tallow::python {
namespace {

nb::object to_python(Tensor tensor) { return nb::steal(wrap(std::move(tensor))); }

// A model with the session that its next answer continues.
class Model {
 public:
  Model(const std::string& name, const std::optional<std::string>& drafter,
        const std::optional<std::string>& mmproj, std::optional<DType> cache_type)
      : path_(find_model(name)),
        model_(mmproj ? LanguageModel(with_towers(open_checkpoint(resolve_model(path_)), *mmproj))
                      : LanguageModel(path_)),
        cache_type_(cache_type) {
    if (drafter) drafter_ = model_.open_drafter(find_model(*drafter));
    if (cache_type) make_cache(1);  // throws where the model's heads do not suit the type
  }

  const LanguageModel& get() const { return model_; }
  /// What the drafter guesses after a text, for tests.
  std::vector<int32_t> draft(const std::vector<int32_t>& tokens, int64_t count) const {
    if (!drafter_) fail(path_, ": was loaded without a drafter");
    if (tokens.size() < 2) fail("draft: takes at least two tokens");
    model_.check_tokens(tokens);
    const CausalLM& network = model_.network();
    KvCache cache = make_cache(std::ssize(tokens));
    const KvCache::Sequence sequence = cache.create();
    const KvCache::Chunk chunk{.sequence = sequence,
                               .tokens = std::span(tokens).first(tokens.size() - 1)};
    const Tensor state = network.states(cache.append({&chunk, 1}), cache);
    return drafter_->draft(tokens.back(), state, count, cache.reader(sequence), cache);
  }
  const std::string& path() const { return path_; }

  Tensor logits(const std::vector<Prompt>& prompts, bool last_only) const {
    return model_.logits(prompts, last_only, SessionOptions().chunk, cache_type_);
  }

  Generation generate(const Prompt& prompt, const GenerateOptions& options,
                      const Session::OnText& on_text) {
    std::lock_guard lock(mutex_);
    if (!session_) {
      SessionOptions session;
      session.draft.drafter = drafter_.get();
      session.cache_dtype = cache_type_;
      session_ = std::make_unique<Session>(model_, session);
    }
    return session_->generate(prompt, options, on_text);
  }

 private:
  KvCache make_cache(int64_t tokens) const {
    KvCacheSpec spec = model_.network().cache_spec();
    spec.dtype = cache_type_.value_or(spec.dtype);
    return KvCache(spec, tokens);
  }

  std::string path_;
  LanguageModel model_;
  std::optional<DType> cache_type_;
  std::unique_ptr<Drafter> drafter_;
  std::mutex mutex_;
  std::unique_ptr<Session> session_;
};

// A dtype, or its name as the command line takes it.
std::optional<DType> cache_type_of(nb::handle given) {
  if (given.is_none()) return {};
  if (!nb::isinstance<nb::str>(given)) return dtype_of(given.ptr());
  const auto name = nb::cast<std::string>(given);
  const std::optional<DType> dtype = dtype_from_name(name);
  if (!dtype) fail("cache_type: ", name, " is no dtype; give f32, bf16, f16, q8_0 or q4_0");
  return dtype;
}

void open_model(Model* at, const std::string& path, const std::optional<std::string>& drafter,
                const std::optional<std::string>& mmproj, nb::handle cache_type) {
  const std::optional<DType> dtype = cache_type_of(cache_type);
  const nb::gil_scoped_release no_gil;
  new (at) Model(path, drafter, mmproj, dtype);
}

// Takes an option from Python's keywords where it is given and not None.
template <class T>
void option(const nb::dict& given, const char* name, T& to) {
  if (given.contains(name) && !given[name].is_none()) to = nb::cast<T>(given[name]);
}

GenerateOptions options_of(const nb::dict& given, const SamplingOptions& defaults) {
  GenerateOptions options{.sampling = defaults};
  SamplingOptions& s = options.sampling;
  option(given, "max_new_tokens", options.max_tokens);
  option(given, "stop", options.stop);
  option(given, "chat", options.chat);
  option(given, "temperature", s.temperature);
  option(given, "top_k", s.top_k);
  option(given, "top_p", s.top_p);
  option(given, "min_p", s.min_p);
  option(given, "typical_p", s.typical_p);
  option(given, "repetition_penalty", s.repetition_penalty);
  option(given, "presence_penalty", s.presence_penalty);
  option(given, "frequency_penalty", s.frequency_penalty);
  option(given, "logit_bias", s.logit_bias);
  option(given, "seed", s.seed);
  s.validate();
  return options;
}

// generate(prompt, options, on_text): on_text(text) returns False to stop.
Generation generate(Model& model, const Prompt& prompt, const nb::dict& given,
                    const nb::object& on_text) {
  const GenerateOptions options = options_of(given, model.get().default_sampling());
  const bool listens = !on_text.is_none();
  std::exception_ptr error;  // goes past the library's code by itself
  Session::OnText receive = [&](std::string_view text) {
    nb::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) {
      error = std::make_exception_ptr(nb::python_error());
      return false;
    }
    if (!listens) return true;
    try {
      nb::object answer = on_text(nb::str(text.data(), text.size()));
      return answer.is_none() || nb::cast<bool>(answer);
    } catch (...) {
      error = std::current_exception();
      return false;
    }
  };
  Generation result;
  {
    nb::gil_scoped_release no_gil;
    result = model.generate(prompt, options, receive);
  }
  if (error) std::rethrow_exception(error);
  return result;
}

nb::object to_python(Tensors tensors) {
  nb::list result;
  for (Tensor& tensor : tensors) result.append(to_python(std::move(tensor)));
  return result;
}

// The states of all layers, and what they are given of their own, or None.
nb::object hidden_states(const Model& model, const Prompt& prompt) {
  HiddenStates result;
  {
    nb::gil_scoped_release no_gil;
    result = model.get().hidden_states(prompt);
  }
  nb::object inputs = result.layer_inputs ? to_python(result.layer_inputs) : nb::none();
  return nb::make_tuple(to_python(std::move(result.states)), inputs);
}

nb::object logits(const Model& model, const std::vector<Prompt>& prompts, bool last_only) {
  Tensor result;
  {
    nb::gil_scoped_release no_gil;
    result = model.logits(prompts, last_only);
  }
  return to_python(std::move(result));
}

const ImageEncoder& eyes(const Model& model) {
  const ImageEncoder* images = model.get().network().images();
  if (!images) fail(model.path(), ": this model takes no images");
  return *images;
}

nb::object prepare_image(const Model& model, nb::handle image, int64_t budget) {
  const Tensor pixels = checked_tensor(image.ptr());
  ImageInput input;
  {
    nb::gil_scoped_release no_gil;
    input = eyes(model).prepare(pixels, budget);
  }
  return nb::make_tuple(to_python(input.pixels), to_python(input.positions));
}

// The soft tokens, or the states of the tower's layers.
nb::object encode_image(const Model& model, nb::handle pixels, nb::handle positions, bool inside) {
  const Tensor at = checked_tensor(positions.ptr());
  const ImageInput input{checked_tensor(pixels.ptr()), at, 0};
  Tensor rows;
  Tensors states;
  {
    nb::gil_scoped_release no_gil;
    rows = eyes(model).encode(input, inside ? &states : nullptr);
  }
  return inside ? to_python(std::move(states)) : to_python(std::move(rows));
}

// Messages and requests come as JSON, since templates take any value.
ChatRequest request_of(std::string_view text) {
  const Json given = Json::parse(text, "options");
  ChatRequest request;
  request.add_generation_prompt = given.at("add_generation_prompt").boolean();
  request.image_tokens = given.at("image_tokens").integer();
  request.tools = given.at("tools");
  request.variables = given.at("variables");
  return request;
}

Prompt chat_prompt(const Model& model, std::string_view messages, std::string_view request) {
  nb::gil_scoped_release no_gil;
  return model.get().chat_prompt(Json::parse(messages, "messages"), request_of(request));
}

const AudioEncoder& sounds(const Model& model) {
  const AudioEncoder* found = model.get().network().sounds();
  if (!found) fail(model.path(), ": this model takes no sounds");
  return *found;
}

nb::object prepare_audio(const Model& model, nb::handle samples) {
  const Tensor x = checked_tensor(samples.ptr());
  Tensor features;
  {
    nb::gil_scoped_release no_gil;
    features = sounds(model).prepare(x).features;
  }
  return to_python(std::move(features));
}

nb::object encode_audio(const Model& model, nb::handle samples, bool inside) {
  const Tensor x = checked_tensor(samples.ptr());
  Tensor rows;
  Tensors states;
  {
    nb::gil_scoped_release no_gil;
    const AudioEncoder& encoder = sounds(model);
    rows = encoder.encode(encoder.prepare(x), inside ? &states : nullptr);
  }
  return inside ? to_python(std::move(states)) : to_python(std::move(rows));
}

void add_models(nb::module_& m) {
  nb::class_<Prompt>(m, "Prompt", "Tokens, of which some stand for images and sounds.")
      .def(nb::init<std::vector<int32_t>>(), "tokens"_a)
      .def_ro("tokens", &Prompt::tokens)
      .def("__len__", &Prompt::size);
  nb::class_<Generation>(m, "Generation", "An answer and how it came about.")
      .def_ro("text", &Generation::text)
      .def_ro("thought", &Generation::thought)
      .def_prop_ro("_tool_calls", [](const Generation& g) { return g.tool_calls.dump(); })
      .def_ro("tokens", &Generation::tokens)
      .def_ro("finish_reason", &Generation::finish_reason, "stop, length or interrupted")
      .def_ro("prompt_tokens", &Generation::prompt_tokens)
      .def_ro("prefilled_tokens", &Generation::prefilled_tokens)
      .def_ro("drafted_tokens", &Generation::drafted_tokens)
      .def_ro("accepted_tokens", &Generation::accepted_tokens)
      .def_ro("prefill_seconds", &Generation::prefill_seconds)
      .def_ro("decode_seconds", &Generation::decode_seconds)
      .def("__repr__", [](const Generation& g) { return nb::repr(nb::str(g.text.c_str())); });
  nb::class_<Model>(m, "LanguageModel", nb::dynamic_attr(),
                    "A causal language model with its tokenizer and chat template.")
      .def("__init__", open_model, "path"_a, "drafter"_a.none() = nb::none(),
           "mmproj"_a.none() = nb::none(), "cache_type"_a.none() = nb::none())
      .def_prop_ro("path", &Model::path)
      .def_prop_ro(
          "tokenizer", [](const Model& self) { return self.get().text().tokenizer; },
          "Throws where the model has none.")
      .def_prop_ro("vocab_size",
                   [](const Model& self) { return self.get().network().vocab_size(); })
      .def_prop_ro("max_positions",
                   [](const Model& self) { return self.get().network().max_positions(); })
      .def("_generate", generate, "prompt"_a, "options"_a, "on_text"_a.none())
      .def("_logits", logits)
      .def("_hidden_states", hidden_states)
      .def("_prepare_audio", prepare_audio)
      .def("_encode_audio", encode_audio)
      .def("_prepare_image", prepare_image)
      .def("_encode_image", encode_image)
      .def("_chat_prompt", chat_prompt)
      .def("_draft", &Model::draft)
      .def(
          "read_answer",
          [](const Model& self, const std::vector<int32_t>& tokens) {
            return self.get().read_answer(tokens);
          },
          "tokens"_a, "The text, thought and calls of functions that an answer's tokens spell.")
      .def("_render_chat",
           [](const Model& self, std::string_view messages, std::string_view request) {
             return self.get().text().render_chat(Json::parse(messages, "messages"),
                                                  request_of(request));
           });
}

}  // namespace

void add_language_models(PyObject* module) {
  auto m = nb::borrow<nb::module_>(module);
  add_models(m);
  m.def("read_bandwidth", &read_bandwidth, "bytes"_a, "threads"_a);
  m.def("peak_f32", &peak_f32, "threads"_a);
  m.def("peak_bf16", &peak_bf16, "threads"_a);
}

}  // namespace tallow::python
