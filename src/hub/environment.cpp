// Settings as the Python client finds them.
#include "hub/environment.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>

#include "core/read_file.h"
#include "hub/names.h"

namespace tallow::hub {
namespace {

using Kind = HubError::Kind;

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

std::string trimmed(std::string_view text) {
  const auto space = [](char c) { return std::isspace(static_cast<unsigned char>(c)); };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return std::string(text);
}

std::string home_folder() {
  if (auto home = environment("HOME")) return *home;
  fail_hub(Kind::usage, "HOME is not set; name the cache's folder in HF_HOME");
}

/// A leading ~, and $NAME and ${NAME} where they are set, as Python's os.path expands them.
std::string expanded(std::string path) {
  if (path == "~" || path.starts_with("~/")) path.replace(0, 1, home_folder());
  for (size_t at = path.find('$'); at != path.npos; at = path.find('$', at)) {
    const bool braces = at + 1 < path.size() && path[at + 1] == '{';
    const size_t begin = at + 1 + braces;
    size_t end = begin;
    while (end < path.size() &&
           (std::isalnum(static_cast<unsigned char>(path[end])) || path[end] == '_')) {
      ++end;
    }
    const auto value = environment(path.substr(begin, end - begin).c_str());
    const bool closed = !braces || (end < path.size() && path[end] == '}');
    if (value && closed) {
      path.replace(at, end + braces - at, *value);
      at += value->size();
    } else {
      at = end;
    }
  }
  return path;
}

std::string hub_home() {
  if (auto home = environment("HF_HOME")) return expanded(*home);
  if (auto cache = environment("XDG_CACHE_HOME")) return expanded(*cache + "/huggingface");
  return home_folder() + "/.cache/huggingface";
}

std::string cache_folder() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (auto folder = environment(name)) return expanded(*folder);
  }
  return hub_home() + "/hub";
}

/// A token is sent in a header: line breaks at its ends are a slip of the editor, others a mistake.
std::string clean_token(std::string_view text, std::string_view from) {
  const std::string token = trimmed(text);
  const auto odd = [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c >= 0x7f; };
  if (std::any_of(token.begin(), token.end(), odd)) {
    fail_hub(Kind::usage, from, ": is not an access token: it has blanks or control characters");
  }
  return token;
}

std::string find_token() {
  if (environment_switch("HF_HUB_DISABLE_IMPLICIT_TOKEN")) return {};
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
    if (auto token = environment(name)) return clean_token(*token, name);
  }
  const auto named = environment("HF_TOKEN_PATH");
  const std::string path = named ? expanded(*named) : hub_home() + "/token";
  if (!file_exists(path)) return {};
  return clean_token(read_file(path, 1 << 16), path);
}

double seconds(const char* name, double fallback) {
  const auto text = environment(name);
  if (!text) return fallback;
  int value = 0;
  const auto result = std::from_chars(text->data(), text->data() + text->size(), value);
  if (result.ec != std::errc() || result.ptr != text->data() + text->size() || value < 0) {
    fail_hub(Kind::usage, name, "=", *text, ": is not a number of seconds");
  }
  return value == 0 ? fallback : value;
}

}  // namespace

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (!value || !*value) return {};
  return value;
}

bool environment_switch(const char* name) {
  const std::string value = upper(environment(name).value_or(""));
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

Settings Settings::from_environment() {
  Settings s;
  s.endpoint = environment("HF_ENDPOINT").value_or("https://huggingface.co");
  while (s.endpoint.ends_with('/')) s.endpoint.pop_back();
  s.cache = cache_folder();
  s.token = find_token();
  s.offline =
      environment_switch(environment("HF_HUB_OFFLINE") ? "HF_HUB_OFFLINE" : "TRANSFORMERS_OFFLINE");
  s.symlinks = !environment_switch("HF_HUB_DISABLE_SYMLINKS");
  s.metadata_timeout = seconds("HF_HUB_ETAG_TIMEOUT", s.metadata_timeout);
  s.download_timeout = seconds("HF_HUB_DOWNLOAD_TIMEOUT", s.download_timeout);
  return s;
}

bool names_host(std::string_view list, const Url& url) {
  const std::string host = upper(url.host), with_port = str(host, ":", url.port);
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    std::string name = upper(trimmed(list.substr(begin, end - begin)));
    begin = end + 1;
    if (name.empty()) continue;
    if (name == "*" || name == host || name == with_port) return true;
    if (name.starts_with('*')) name.erase(0, 1);
    if (!name.starts_with('.')) name.insert(0, 1, '.');
    if (host.ends_with(name) || with_port.ends_with(name)) return true;
  }
  return false;
}

std::optional<Url> proxy_for(const Url& url) {
  // CGI programs get HTTP_PROXY from whoever asks them.
  const bool cgi = environment("REQUEST_METHOD").has_value();
  const auto either = [&](const char* name) {
    auto value = environment(name);
    if (!value && !(cgi && std::string_view(name) == "http_proxy")) {
      value = environment(upper(name).c_str());
    }
    return value;
  };
  auto proxy = either(url.secure() ? "https_proxy" : "http_proxy");
  if (!proxy) proxy = either("all_proxy");
  if (!proxy || names_host(either("no_proxy").value_or(""), url)) return {};
  if (proxy->find("://") == proxy->npos) proxy->insert(0, "http://");
  if (!upper(*proxy).starts_with("HTTP://")) {
    fail_hub(Kind::usage, url.secure() ? "HTTPS_PROXY" : "HTTP_PROXY", ": ",
             proxy->substr(0, proxy->find("://")),
             ":// is no proxy that can be used; give one as http://host:port");
  }
  return parse_url(*proxy, "the proxy's address");
}

}  // namespace tallow::hub
