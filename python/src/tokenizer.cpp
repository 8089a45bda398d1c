// Tokenizers: tallow.Tokenizer and what it returns, with the names of Hugging Face's package.
#include "tallow/tokenizer.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include "tallow/error.h"
#include "tallow/language_model.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace tallow::python {
namespace {

template <class T, class F>
nb::object list_of(const std::vector<T>& values, const F& make) {
  PyObject* list = PyList_New(static_cast<Py_ssize_t>(values.size()));
  if (!list) nb::raise_python_error();
  for (size_t i = 0; i < values.size(); ++i) {
    PyList_SET_ITEM(list, static_cast<Py_ssize_t>(i), make(values[i]));
  }
  return nb::steal(list);
}

PyObject* new_int(int64_t value) { return PyLong_FromLongLong(value); }

PyObject* new_text(std::string_view text) {
  return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
}

nb::object ints(const std::vector<int32_t>& values) {
  return list_of(values, [](int32_t v) { return new_int(v); });
}

/// -1 as None.
nb::object ints_or_none(const std::vector<int32_t>& values) {
  return list_of(values, [](int32_t v) { return v < 0 ? Py_NewRef(Py_None) : new_int(v); });
}

nb::object texts(const std::vector<std::string>& values) {
  return list_of(values, [](const std::string& v) { return new_text(v); });
}

nb::object ranges(const std::vector<Encoding::Range>& values) {
  return list_of(values, [](const Encoding::Range& r) {
    return nb::make_tuple(r.first, r.second).release().ptr();
  });
}

/// Inputs for encoding, and the strings whose text they show.
class Inputs {
 public:
  void add(nb::handle text, nb::handle pair, bool words) {
    EncodeInput& input = inputs_.emplace_back();
    input.words = words;
    fill(text, words, input.text);
    input.has_pair = !pair.is_none();
    if (input.has_pair) fill(pair, words, input.pair);
  }
  /// A text, or (text, pair) as a tuple or a list; with `words` each is a list of words.
  void add(nb::handle item, bool words) {
    if (!is_pair(item, words)) return add(item, nb::none(), words);
    add(nb::object(item[0]), nb::object(item[1]), words);
  }
  const std::vector<EncodeInput>& get() const { return inputs_; }

 private:
  static bool is_pair(nb::handle item, bool words) {
    const bool sequence = nb::isinstance<nb::tuple>(item) || nb::isinstance<nb::list>(item);
    if (!sequence || nb::len(item) != 2) return false;
    return !words || !nb::isinstance<nb::str>(nb::object(item[0]));
  }
  void fill(nb::handle given, bool words, std::vector<std::string_view>& to) {
    if (words == nb::isinstance<nb::str>(given)) {
      throw nb::type_error(words ? "a list of words is expected where is_pretokenized"
                                 : "a str is expected; lists of words want is_pretokenized");
    }
    if (!words) return to.push_back(view(given));
    for (nb::handle word : given) to.push_back(view(word));
  }
  std::string_view view(nb::handle text) {
    Py_ssize_t size = 0;
    if (!nb::isinstance<nb::str>(text)) throw nb::type_error("a str is expected");
    const char* data = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
    if (!data) nb::raise_python_error();
    kept_.push_back(nb::borrow(text));
    return {data, static_cast<size_t>(size)};
  }
  std::vector<EncodeInput> inputs_;
  std::vector<nb::object> kept_;
};

Encoding encode(const Tokenizer& self, nb::handle text, nb::handle pair, bool special, bool words) {
  Inputs inputs;
  inputs.add(text, pair, words);
  nb::gil_scoped_release no_gil;
  return self.encoding(inputs.get()[0], special);
}

std::vector<Encoding> encode_batch(const Tokenizer& self, nb::handle batch, bool special,
                                   bool words) {
  if (nb::isinstance<nb::str>(batch)) throw nb::type_error("a list of texts is expected");
  Inputs inputs;
  for (nb::handle item : batch) inputs.add(item, words);
  nb::gil_scoped_release no_gil;
  return self.encodings(inputs.get(), special);
}

/// The text of ids; those that no token has are left out where the caller asks for nothing else.
std::string decode(const Tokenizer& self, const std::vector<int32_t>& ids, bool skip, bool clean) {
  std::string text = self.decode(ids, skip);
  return clean ? clean_up_spaces(std::move(text)) : text;
}

nb::object decode_batch(const Tokenizer& self, const std::vector<std::vector<int32_t>>& ids,
                        bool skip, bool clean) {
  std::vector<std::string> all;
  {
    nb::gil_scoped_release no_gil;
    all = self.decode_batch(ids, skip);
    for (std::string& text : all) {
      if (clean) text = clean_up_spaces(std::move(text));
    }
  }
  return texts(all);
}

nb::dict vocabulary(const Tokenizer& self, bool with_added) {
  nb::dict vocab;
  const auto id_of = [&](int32_t id) {
    const std::string token = self.token(id);
    if (!token.empty()) vocab[nb::steal(new_text(token))] = self.token_id(token).value_or(id);
  };
  std::vector<char> added(static_cast<size_t>(self.vocab_size()));
  for (const AddedToken& token : self.added_tokens()) {
    const bool only_added = !self.in_model(token.content);
    if (only_added) added[static_cast<size_t>(token.id)] = 1;
  }
  for (int32_t id = 0; id < self.vocab_size(); ++id) {
    if (with_added || !added[static_cast<size_t>(id)]) id_of(id);
  }
  return vocab;
}

TextTruncation::Strategy strategy_of(std::string_view name) {
  if (name == "longest_first") return TextTruncation::Strategy::longest_first;
  if (name == "only_first") return TextTruncation::Strategy::only_first;
  if (name == "only_second") return TextTruncation::Strategy::only_second;
  fail("truncation: the strategy ", name,
       " is not known; longest_first, only_first and only_second are");
}

bool is_left(std::string_view direction) {
  if (direction != "left" && direction != "right") {
    fail("the direction is left or right, not ", direction);
  }
  return direction == "left";
}

nb::object truncation(const Tokenizer& self) {
  if (!self.truncation()) return nb::none();
  constexpr const char* kNames[] = {"longest_first", "only_first", "only_second"};
  const TextTruncation& t = *self.truncation();
  nb::dict d;
  d["max_length"] = t.max_length;
  d["stride"] = t.stride;
  d["strategy"] = kNames[static_cast<size_t>(t.strategy)];
  d["direction"] = t.left ? "left" : "right";
  return d;
}

nb::object padding(const Tokenizer& self) {
  if (!self.padding()) return nb::none();
  const TextPadding& p = *self.padding();
  nb::dict d;
  d["length"] = p.length;
  d["pad_to_multiple_of"] = p.multiple_of ? nb::cast(p.multiple_of) : nb::none();
  d["pad_id"] = p.id;
  d["pad_token"] = p.token;
  d["pad_type_id"] = p.type_id;
  d["direction"] = p.left ? "left" : "right";
  return d;
}

int64_t add_tokens(Tokenizer& self, nb::handle tokens, bool special) {
  std::vector<AddedToken> all;
  for (nb::handle item : tokens) {
    AddedToken& token = all.emplace_back();
    if (nb::isinstance<AddedToken>(item)) {
      token = nb::cast<AddedToken>(item);
      token.special = token.special || special;
    } else {
      token.content = nb::cast<std::string>(item);
      token.special = special;
      token.normalized = !special;
    }
  }
  return self.add_tokens(std::move(all));
}

Tokenizer from_file(const std::string& path) {
  return path.ends_with(".gguf") ? TextModel::open(path).tokenizer : Tokenizer::from_file(path);
}

void save(const Tokenizer& self, const std::string& path) {
  const std::string json = self.to_json();
  nb::object out = nb::module_::import_("builtins").attr("open")(path, "wb");
  out.attr("write")(nb::bytes(json.data(), json.size()));
  out.attr("close")();
}

template <class T>
std::optional<T> second(const std::optional<std::pair<int64_t, T>>& found) {
  return found ? std::optional(found->second) : std::nullopt;
}

void add_encoding(nb::module_& m) {
  nb::class_<Encoding>(m, "Encoding", "What a text, or a pair of texts, became.")
      .def_prop_ro("ids", [](const Encoding& e) { return ints(e.ids()); })
      .def_prop_ro("tokens", [](const Encoding& e) { return texts(e.tokens()); })
      .def_prop_ro("offsets", [](const Encoding& e) { return ranges(e.offsets()); })
      .def_prop_ro("type_ids", [](const Encoding& e) { return ints(e.type_ids()); })
      .def_prop_ro("special_tokens_mask",
                   [](const Encoding& e) { return ints(e.special_tokens_mask()); })
      .def_prop_ro("attention_mask", [](const Encoding& e) { return ints(e.attention_mask()); })
      .def_prop_ro("word_ids", [](const Encoding& e) { return ints_or_none(e.word_ids()); })
      .def_prop_ro("words", [](const Encoding& e) { return ints_or_none(e.word_ids()); })
      .def_prop_ro("sequence_ids", [](const Encoding& e) { return ints_or_none(e.sequence_ids()); })
      .def_prop_ro("n_sequences", &Encoding::n_sequences)
      .def_prop_ro("overflowing", [](const Encoding& e) { return e.overflowing(); })
      .def("char_to_token", &Encoding::char_to_token, "char_pos"_a, "sequence_index"_a = 0)
      .def("char_to_word", &Encoding::char_to_word, "char_pos"_a, "sequence_index"_a = 0)
      .def("word_to_tokens", &Encoding::word_to_tokens, "word_index"_a, "sequence_index"_a = 0)
      .def("word_to_chars", &Encoding::word_to_chars, "word_index"_a, "sequence_index"_a = 0)
      .def("token_to_sequence", &Encoding::token_to_sequence, "token_index"_a)
      .def(
          "token_to_chars",
          [](const Encoding& e, int64_t token) { return second(e.token_to_chars(token)); },
          "token_index"_a)
      .def(
          "token_to_word",
          [](const Encoding& e, int64_t token) { return second(e.token_to_word(token)); },
          "token_index"_a)
      .def("__len__", [](const Encoding& e) { return e.ids().size(); })
      .def("__repr__",
           [](const Encoding& e) { return str("Encoding(", e.ids().size(), " tokens)"); });
}

void add_settings(nb::class_<Tokenizer>& c) {
  c.def(
       "enable_truncation",
       [](Tokenizer& t, int64_t max_length, int64_t stride, std::string_view strategy,
          std::string_view direction) {
         t.set_truncation(
             TextTruncation{max_length, stride, strategy_of(strategy), is_left(direction)});
       },
       "max_length"_a, "stride"_a = 0, "strategy"_a = "longest_first", "direction"_a = "right")
      .def("no_truncation", [](Tokenizer& t) { t.set_truncation(std::nullopt); })
      .def_prop_ro("truncation", truncation)
      .def(
          "enable_padding",
          [](Tokenizer& t, std::string_view direction, int32_t id, int32_t type_id,
             const std::string& token, std::optional<int64_t> length,
             std::optional<int64_t> multiple_of) {
            t.set_padding(TextPadding{length, multiple_of.value_or(0), id, type_id, token,
                                      is_left(direction)});
          },
          "direction"_a = "right", "pad_id"_a = 0, "pad_type_id"_a = 0, "pad_token"_a = "[PAD]",
          "length"_a = nb::none(), "pad_to_multiple_of"_a = nb::none())
      .def("no_padding", [](Tokenizer& t) { t.set_padding(std::nullopt); })
      .def_prop_ro("padding", padding)
      .def_prop_rw("encode_special_tokens", &Tokenizer::encodes_special_tokens,
                   &Tokenizer::set_encodes_special_tokens)
      .def("num_special_tokens_to_add", &Tokenizer::special_tokens_added, "is_pair"_a = false)
      .def(
          "add_tokens",
          [](Tokenizer& t, nb::handle tokens) { return add_tokens(t, tokens, false); }, "tokens"_a)
      .def(
          "add_special_tokens",
          [](Tokenizer& t, nb::handle tokens) { return add_tokens(t, tokens, true); }, "tokens"_a);
}

}  // namespace

void add_tokenizers(PyObject* module) {
  auto m = nb::borrow<nb::module_>(module);
  nb::class_<AddedToken>(m, "AddedToken", "A token that is found before the model sees the text.")
      .def(
          "__init__",
          [](AddedToken* self, std::string content, bool single_word, bool lstrip, bool rstrip,
             std::optional<bool> normalized, bool special) {
            new (self) AddedToken{std::move(content),
                                  -1,
                                  single_word,
                                  lstrip,
                                  rstrip,
                                  normalized.value_or(!special),
                                  special};
          },
          "content"_a, "single_word"_a = false, "lstrip"_a = false, "rstrip"_a = false,
          "normalized"_a = nb::none(), "special"_a = false)
      .def_ro("content", &AddedToken::content)
      .def_ro("single_word", &AddedToken::single_word)
      .def_ro("lstrip", &AddedToken::lstrip)
      .def_ro("rstrip", &AddedToken::rstrip)
      .def_ro("normalized", &AddedToken::normalized)
      .def_ro("special", &AddedToken::special);
  add_encoding(m);
  nb::class_<Tokenizer> c(m, "Tokenizer", "Text to token ids and back.");
  c.def_static("from_file", from_file, "path"_a,
               "Opens a model's folder, a GGUF file, or any file that holds a tokenizer.")
      .def_static("from_folder", &Tokenizer::from_folder, "path"_a)
      .def_static(
          "from_str",
          [](std::string_view json) { return Tokenizer::from_json(json, nullptr, "from_str"); },
          "json"_a, "Reads the text of a tokenizer.json.")
      .def("to_str", &Tokenizer::to_json, "The text of a tokenizer.json that says the same.")
      .def("save", save, "path"_a)
      .def("encode", encode, "text"_a, "pair"_a = nb::none(), "add_special_tokens"_a = true,
           "is_pretokenized"_a = false, "The Encoding of a text or a pair.")
      .def("encode_batch", encode_batch, "batch"_a, "add_special_tokens"_a = true,
           "is_pretokenized"_a = false, "The encodings of texts or pairs, on all threads.")
      .def("decode", decode, "ids"_a, "skip_special_tokens"_a = true,
           "clean_up_tokenization_spaces"_a = false, "The text of ids.")
      .def("decode_batch", decode_batch, "batch"_a, "skip_special_tokens"_a = true,
           "clean_up_tokenization_spaces"_a = false)
      .def(
          "decode_stream", [](const Tokenizer& t, bool skip) { return StreamDecoder(t, skip); },
          "skip_special_tokens"_a = true, "Decodes ids one at a time.")
      .def(
          "id_to_token",
          [](const Tokenizer& t, int32_t id) -> nb::object {
            const std::string token = t.token(id);
            return token.empty() ? nb::none() : nb::steal(new_text(token));
          },
          "id"_a)
      .def("token_to_id", &Tokenizer::token_id, "token"_a)
      .def("token", &Tokenizer::token, "id"_a, "The piece of an id, as the vocabulary spells it.")
      .def("token_id", &Tokenizer::token_id, "token"_a)
      .def("is_special", &Tokenizer::is_special, "id"_a)
      .def("is_end", &Tokenizer::is_end, "id"_a)
      .def("get_vocab", vocabulary, "with_added_tokens"_a = true)
      .def("get_vocab_size", &Tokenizer::token_count, "with_added_tokens"_a = true)
      .def_prop_ro("vocab_size", &Tokenizer::vocab_size)
      .def_prop_ro("bos", &Tokenizer::bos)
      .def_prop_ro("eos", &Tokenizer::eos);
  add_settings(c);
  nb::class_<StreamDecoder>(m, "StreamDecoder", "Decodes ids one at a time.")
      .def("step", &StreamDecoder::next, "id"_a, "The text that an id completes.")
      .def("finish", &StreamDecoder::finish, "The text still held back.");
}

}  // namespace tallow::python
