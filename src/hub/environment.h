// The environment variables that settings and connections come from.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "hub/url.h"

namespace tallow::hub {

/// The value of a variable, or nothing when it is unset or empty.
std::optional<std::string> environment(const char* name);
/// As the Python client reads switches: 1, ON, YES or TRUE in any case.
bool environment_switch(const char* name);

/// The proxy that a request to `url` goes through, if any: http_proxy, https_proxy, all_proxy, less
/// what no_proxy names; capital letters mean the same. Throws HubError for a proxy that is none of
/// HTTP.
std::optional<Url> proxy_for(const Url& url);
/// Whether a list as in NO_PROXY, "localhost,.example.com,10.0.0.1:8080,*", names the host.
bool names_host(std::string_view list, const Url& url);

}  // namespace tallow::hub
