// Taking URLs apart. RFC 3986, as much of it as http needs.
#include "hub/url.h"

#include <algorithm>
#include <charconv>

#include "hub/names.h"

namespace tallow::hub {
namespace {

using Kind = HubError::Kind;

bool is_unreserved(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
        hex_digit(text[i + 2]) >= 0) {
      out += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

/// What may stand in a request line as it is; the rest is encoded, percent signs excepted.
std::string safe_target(std::string_view target) {
  return percent_encoded(target, "/?&=%:@!$'()*+,;[]#");
}

void parse_authority(std::string_view text, Url& url, std::string_view what) {
  const auto refuse = [&] {
    fail_hub(Kind::usage, what, ": \"", text.substr(0, 200), "\" is not a host with a port");
  };
  if (const size_t at = text.rfind('@'); at != text.npos) {
    url.user = percent_decoded(text.substr(0, at));
    text.remove_prefix(at + 1);
  }
  std::string_view host = text, port;
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == text.npos) refuse();
    host = text.substr(1, close - 1);
    port = text.substr(close + 1);
    if (!port.empty() && port.front() != ':') refuse();
    if (!port.empty()) port.remove_prefix(1);
  } else if (const size_t colon = text.find(':'); colon != text.npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  const auto allowed = [](char c) { return is_unreserved(c) || c == ':' || c == '%'; };
  if (host.empty() || host.size() > 253 || !std::all_of(host.begin(), host.end(), allowed)) {
    refuse();
  }
  url.host.assign(host);
  std::transform(url.host.begin(), url.host.end(), url.host.begin(), lower);
  url.port = url.secure() ? 443 : 80;
  if (!port.empty()) {
    const auto result = std::from_chars(port.data(), port.data() + port.size(), url.port);
    if (result.ec != std::errc() || result.ptr != port.data() + port.size() || !url.port) refuse();
  }
}

}  // namespace

std::string Url::authority() const {
  const bool v6 = host.find(':') != host.npos;
  const std::string shown = v6 ? "[" + host + "]" : host;
  return port == (secure() ? 443 : 80) ? shown : str(shown, ":", port);
}

std::string Url::text() const { return str(scheme, "://", authority(), target); }

Url parse_url(std::string_view text, std::string_view what) {
  Url url;
  const size_t colon = text.find("://");
  if (colon != text.npos) {
    url.scheme.assign(text.substr(0, colon));
    std::transform(url.scheme.begin(), url.scheme.end(), url.scheme.begin(), lower);
  }
  if (url.scheme != "http" && url.scheme != "https") {
    fail_hub(Kind::usage, what, ": \"", text.substr(0, 200),
             "\" is not an address that begins with https:// or http://");
  }
  text.remove_prefix(colon + 3);
  const size_t path = std::min(text.find_first_of("/?#"), text.size());
  parse_authority(text.substr(0, path), url, what);
  std::string_view target = text.substr(path);
  target = target.substr(0, target.find('#'));
  url.target = safe_target(target);
  if (!url.target.starts_with('/')) url.target.insert(0, 1, '/');
  return url;
}

Url resolve_url(const Url& base, std::string_view location) {
  if (location.starts_with("//")) return parse_url(str(base.scheme, ":", location), "redirect");
  if (location.find("://") != location.npos &&
      location.find("://") < location.find_first_of("/?#")) {
    return parse_url(location, "redirect");
  }
  Url url = base;
  location = location.substr(0, location.find('#'));
  if (location.starts_with('/')) {
    url.target = safe_target(location);
  } else if (location.starts_with('?')) {
    url.target = base.target.substr(0, base.target.find('?')) + safe_target(location);
  } else {
    const std::string path = base.target.substr(0, base.target.find('?'));
    url.target = path.substr(0, path.rfind('/') + 1) + safe_target(location);
  }
  return url;
}

bool same_origin(const Url& a, const Url& b) {
  return a.scheme == b.scheme && a.host == b.host && a.port == b.port;
}

std::string percent_encoded(std::string_view text, std::string_view keep) {
  constexpr const char* kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (is_unreserved(c) || keep.find(c) != keep.npos) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.append({'%', kDigits[byte >> 4], kDigits[byte & 15]});
    }
  }
  return out;
}

}  // namespace tallow::hub
