// Training of tokenizers: the trainer that tallow/_tokenizer_training.py feeds.
#include "tallow/tokenizer_training.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include "tallow/error.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace tallow::python {
namespace {

std::vector<AddedToken> special_tokens(nb::handle tokens) {
  std::vector<AddedToken> all;
  for (nb::handle item : tokens) {
    AddedToken& token = all.emplace_back();
    if (nb::isinstance<AddedToken>(item)) {
      token = nb::cast<AddedToken>(item);
    } else {
      token.content = nb::cast<std::string>(item);
    }
  }
  return all;
}

/// Tells Python how far the training is, and stops it when Python raises, by Ctrl-C for example.
auto teller(nb::object progress) {
  return [progress](std::string_view stage, int64_t done, int64_t total) {
    nb::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) nb::raise_python_error();
    if (!progress.is_none()) progress(stage, done, total);
  };
}

TokenizerTraining options_of(const nb::dict& given, nb::object progress) {
  TokenizerTraining o;
  for (auto [key, value] : given) {
    const auto name = nb::cast<std::string>(key);
    const auto take = [&, value = value](const char* option, auto& target) {
      if (name != option) return false;
      if (!nb::try_cast(value, target))
        throw nb::type_error(str("training: ", name, " has a wrong type").c_str());
      return true;
    };
    if (name == "special_tokens") {
      o.special_tokens = special_tokens(value);
    } else if (!(take("vocab_size", o.vocab_size) || take("min_frequency", o.min_frequency) ||
                 take("limit_alphabet", o.limit_alphabet) ||
                 take("initial_alphabet", o.initial_alphabet) ||
                 take("continuing_subword_prefix", o.continuing_subword_prefix) ||
                 take("end_of_word_suffix", o.end_of_word_suffix) ||
                 take("max_token_length", o.max_token_length) || take("unk_token", o.unk_token) ||
                 take("shrinking_factor", o.shrinking_factor) ||
                 take("max_piece_length", o.max_piece_length) ||
                 take("n_sub_iterations", o.n_sub_iterations))) {
      throw nb::type_error(str("training: the option ", name, " is not known").c_str());
    }
  }
  o.progress = teller(std::move(progress));
  return o;
}

void add(TokenizerTrainer& trainer, nb::list texts) {
  std::vector<std::string_view> views;
  for (nb::handle text : texts) {
    Py_ssize_t size = 0;
    if (!nb::isinstance<nb::str>(text)) throw nb::type_error("training: texts are str");
    const char* data = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
    if (!data) nb::raise_python_error();
    views.emplace_back(data, static_cast<size_t>(size));
  }
  nb::gil_scoped_release no_gil;
  trainer.add(views);
}

}  // namespace

void add_tokenizer_training(PyObject* module) {
  auto m = nb::borrow<nb::module_>(module);
  m.def("_untrained_tokenizer",
        [](std::string_view model) { return untrained_tokenizer(model).dump(); });
  m.def("_untrained_tokenizer",
        [](const Tokenizer& like) { return untrained_tokenizer(like).dump(); });
  nb::class_<TokenizerTrainer>(m, "_TokenizerTrainer")
      .def(
          "__init__",
          [](TokenizerTrainer* self, std::string_view untrained, const nb::dict& options,
             nb::object progress) {
            new (self) TokenizerTrainer(Json::parse(untrained, "the untrained tokenizer"),
                                        options_of(options, std::move(progress)));
          },
          "untrained"_a, "options"_a, "progress"_a.none())
      .def("add", add)
      .def("add_file", &TokenizerTrainer::add_file, nb::call_guard<nb::gil_scoped_release>())
      .def("train", &TokenizerTrainer::train, nb::call_guard<nb::gil_scoped_release>());
}

}  // namespace tallow::python
