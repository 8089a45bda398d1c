// Config: typed, range-checked keys of a model's configuration.
#include <cmath>

#include "formats/byte_reader.h"
#include "tallow/error.h"
#include "tallow/weights.h"

namespace tallow {
namespace {

/// A value as a message shows it.
std::string shown(const Json& value) {
  constexpr size_t kLongest = 60;
  if (value.is_array()) return str("an array of ", value.items().size());
  if (value.is_object()) return "an object";
  std::string text = value.dump();
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

[[noreturn]] void missing(const Config& config, std::string_view key) {
  fail(config.what(), ": ", quoted(key), " is missing");
}

[[noreturn]] void wrong(const Config& config, std::string_view key, const char* wanted,
                        const Json& found) {
  fail(config.what(), ": ", quoted(key), ": expected ", wanted, ", found ", shown(found));
}

int64_t checked_integer(const Config& config, std::string_view key, const Json& value, int64_t low,
                        int64_t high) {
  const bool whole = value.is_number() && value.number() == std::floor(value.number()) &&
                     std::abs(value.number()) < 9.2e18;
  if (!whole) wrong(config, key, "an integer", value);
  const int64_t number = value.integer();
  if (number < low || number > high) {
    fail(config.what(), ": ", quoted(key), ": ", number, " is outside ", low, " to ", high);
  }
  return number;
}

double checked_number(const Config& config, std::string_view key, const Json& value) {
  if (!value.is_number() || !std::isfinite(value.number())) {
    wrong(config, key, "a finite number", value);
  }
  return value.number();
}

}  // namespace

const Json* Config::find(std::string_view key) const {
  const Json* value = values_.find(key);
  return value && !value->is_null() ? value : nullptr;
}

bool Config::has(std::string_view key) const { return find(key) != nullptr; }

int64_t Config::integer(std::string_view key, int64_t low, int64_t high) const {
  const Json* value = find(key);
  if (!value) missing(*this, key);
  return checked_integer(*this, key, *value, low, high);
}

int64_t Config::integer_or(std::string_view key, int64_t fallback, int64_t low,
                           int64_t high) const {
  const Json* value = find(key);
  return value ? checked_integer(*this, key, *value, low, high) : fallback;
}

double Config::number(std::string_view key) const {
  const Json* value = find(key);
  if (!value) missing(*this, key);
  return checked_number(*this, key, *value);
}

double Config::number_or(std::string_view key, double fallback) const {
  const Json* value = find(key);
  return value ? checked_number(*this, key, *value) : fallback;
}

bool Config::boolean_or(std::string_view key, bool fallback) const {
  const Json* value = find(key);
  if (!value) return fallback;
  if (!value->is_boolean()) wrong(*this, key, "true or false", *value);
  return value->boolean();
}

std::string Config::string(std::string_view key) const {
  const Json* value = find(key);
  if (!value) missing(*this, key);
  if (!value->is_string()) wrong(*this, key, "a string", *value);
  return value->string();
}

std::string Config::string_or(std::string_view key, std::string_view fallback) const {
  return has(key) ? string(key) : std::string(fallback);
}

}  // namespace tallow
