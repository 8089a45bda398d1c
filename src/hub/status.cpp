// What the hub's refusals mean, and what to do about each.
#include <algorithm>
#include <charconv>

#include "hub/client.h"
#include "hub/names.h"

namespace tallow::hub {
namespace {

using Kind = HubError::Kind;

constexpr const char* kHowToLogIn =
    "set HF_TOKEN to an access token, or log in with `hf auth login`";

std::string web_page(const Subject& subject, const Settings& settings) {
  const std::string kind =
      subject.repo.type == RepoType::model ? "" : plural(subject.repo.type) + "/";
  return str(settings.endpoint, "/", kind, subject.repo.id);
}

/// What the hub says in its own words, cut to one line of plain text.
std::string said(const HttpReply& reply) {
  std::string text(reply.find("X-Error-Message").value_or(""));
  text.resize(std::min(text.size(), size_t{200}));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return text.empty() ? "" : " (" + text + ")";
}

/// The number after `key=` in a header such as "api";r=0;t=55.
std::optional<double> field(std::string_view header, char key) {
  for (size_t at = header.find(';'); at != header.npos; at = header.find(';', at + 1)) {
    std::string_view rest = header.substr(at + 1);
    const auto skip = [&] {
      while (rest.starts_with(' ')) rest.remove_prefix(1);
    };
    skip();
    if (!rest.starts_with(key)) continue;
    rest.remove_prefix(1);
    skip();
    if (!rest.starts_with('=')) continue;
    rest.remove_prefix(1);
    skip();
    int value = 0;
    const auto result = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (result.ec == std::errc() && value >= 0) return value;
  }
  return {};
}

[[noreturn]] void raise_denied(const HttpReply& reply, const Subject& subject,
                               const Settings& settings) {
  if (reply.find("X-Error-Code") == "GatedRepo") {
    fail_hub(Kind::gated, describe(subject.repo), ": is gated; accept its terms at ",
             web_page(subject, settings),
             settings.token.empty() ? str(", then ", kHowToLogIn)
                                    : std::string(" with the account that the token belongs to"));
  }
  if (reply.status == 401 && settings.token.empty()) {
    fail_hub(Kind::no_repo, describe(subject.repo), ": is not on ", settings.endpoint,
             " for the public; check the name, or, if it is private, ", kHowToLogIn);
  }
  if (reply.status == 401) {
    fail_hub(Kind::denied, describe(subject.repo),
             ": there is none of that name, or the access token is not valid", said(reply),
             "; check both, or make a new token at ", settings.endpoint, "/settings/tokens");
  }
  fail_hub(Kind::denied, describe(subject.repo), ": access is forbidden", said(reply),
           settings.token.empty() ? str("; ", kHowToLogIn)
                                  : std::string("; the token lacks the permission to read it"));
}

}  // namespace

double retry_delay(const HttpReply& reply) {
  if (const auto after = reply.find("Retry-After")) {
    int value = 0;
    const char* end = after->data() + after->size();
    const auto result = std::from_chars(after->data(), end, value);
    if (result.ec == std::errc() && result.ptr == end && value >= 0) return value;
  }
  if (const auto limit = reply.find("RateLimit")) {
    if (field(*limit, 'r').value_or(1) == 0) return field(*limit, 't').value_or(-1);
  }
  return -1;
}

void raise_status(const HttpReply& reply, const Url& url, const Subject& subject,
                  const Settings& settings) {
  const auto code = reply.find("X-Error-Code").value_or("");
  const std::string name = describe(subject.repo);
  if (code == "RevisionNotFound") {
    fail_hub(Kind::no_revision, subject.repo.id, ": has no revision \"", subject.repo.revision,
             "\"; ", web_page(subject, settings), " lists its branches and tags");
  }
  if (code == "EntryNotFound") {
    const std::string_view commit = reply.find("X-Repo-Commit").value_or("");
    throw Missing(str(name, ": has no file \"", subject.file, "\""),
                  std::string(is_commit(commit) ? commit : ""));
  }
  if (code == "RepoNotFound") {
    fail_hub(Kind::no_repo, name, ": is not on ", settings.endpoint,
             "; check the name, or, if it is private, ", kHowToLogIn);
  }
  if (reply.status == 401 || reply.status == 403) raise_denied(reply, subject, settings);
  if (reply.status == 429) {
    const double wait = retry_delay(reply);
    const std::string when =
        wait >= 0 ? str("in ", static_cast<int64_t>(wait), " s") : std::string("later");
    throw Later(Kind::limited,
                str(url.authority(), ": too many requests; try again ", when,
                    settings.token.empty() ? ", or log in, which raises the limit" : ""),
                wait);
  }
  if (reply.status / 100 == 5 || reply.status == 408) {
    throw Later(Kind::network,
                str(url.authority(), ": has trouble, status ", reply.status, said(reply),
                    "; try again later"),
                retry_delay(reply));
  }
  if (reply.status == 404) {
    fail_hub(Kind::no_entry, name, ": not found: ", url.text(), "; is ", settings.endpoint,
             " a hub?");
  }
  fail_hub(Kind::answer, name, ": ", url.authority(), " answers with status ", reply.status,
           said(reply));
}

bool may_pass(const HubError& error) {
  return error.kind() == Kind::network || error.kind() == Kind::limited;
}

}  // namespace tallow::hub
