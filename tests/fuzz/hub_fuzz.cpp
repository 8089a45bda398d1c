// Fuzzes what a hub may answer: lists of files, heads of answers with their links and etags; and
// what a user may write for a model. The first byte says which.
#include "hub/http.h"
#include "hub/listing.h"
#include "hub/names.h"
#include "hub/select.h"
#include "tallow/error.h"
#include "target.h"

namespace {

using namespace tallow::hub;

void check(bool condition) {
  if (!condition) __builtin_trap();
}

/// What came through is what may become a path.
void check_listing(Listing listing) {
  finish_listing(listing, "t");
  for (const Entry& entry : listing) {
    check(!entry.path.empty() && entry.path.front() != '/' && is_etag(entry.etag()));
    check(("/" + entry.path + "/").find("/../") == std::string::npos);
    check(entry.path.find('\0') == std::string::npos);
  }
  select_model(listing);
  const Listing again = parse_tree_cache(tree_cache_text(listing), "t");
  check(again.size() == listing.size());
}

void read_head(std::string_view text) {
  const HttpReply reply = parse_reply_head(text);
  const Url page = parse_url("https://hub.example/api/models/a/b/tree/main", "t");
  if (const auto location = reply.find("Location")) {
    const Url url = resolve_url(page, *location);
    check(url.target.starts_with('/') && url.target.find(' ') == std::string::npos);
    check(url.target.find('\n') == std::string::npos && !url.host.empty() && url.port != 0);
    check(resolve_url(page, url.text()).text() == url.text());
  }
  if (const auto link = reply.find("Link")) next_page(*link, page);
  if (const auto etag = reply.find("ETag")) check(is_etag(normalized_etag(*etag)));
  reply.number("Content-Length");
}

void read_names(std::string_view text) {
  const size_t line = text.find('\n');
  matches_glob(text.substr(0, line), line == text.npos ? "*a*b*[!a-c]?" : text.substr(line + 1));
  if (const auto name = parse_model_name(text)) check_repo(name->repo);
  parse_repo_name(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    switch (data[0] % 5) {
      case 0: {
        Listing listing;
        parse_tree_page(text, "t", listing);
        check_listing(std::move(listing));
        break;
      }
      case 1: check(is_commit(parse_commit(text, "t"))); break;
      case 2: check_listing(parse_tree_cache(text, "t")); break;
      case 3: read_head(text); break;
      default: read_names(text);
    }
  } catch (const tallow::Error&) {
  }
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  const std::string hash40(40, 'a'), hash64(64, 'b');
  const std::string zero(1, '\0');
  return {
      zero + "[{\"type\":\"file\",\"path\":\"model.safetensors\",\"size\":9,\"oid\":\"" + hash40 +
          "\",\"lfs\":{\"oid\":\"" + hash64 + "\",\"size\":9}},{\"type\":\"directory\",\"path\":" +
          "\"a\",\"oid\":\"\"},{\"type\":\"file\",\"path\":\"a/b.json\",\"size\":2,\"oid\":\"" +
          hash40 + "\"}]",
      "\1{\"id\":\"a/b\",\"sha\":\"" + hash40 + "\",\"siblings\":[]}",
      "\2{\"format_version\":1,\"files\":{\"a.json\":{\"size\":2,\"blob_id\":\"" + hash40 + "\"}}}",
      "\3HTTP/1.1 302 Found\r\nLocation: /a/b?c=d\r\nETag: W/\"" + hash40 +
          "\"\r\nLink: <https://hub.example/api?cursor=1>; rel=\"next\"\r\nContent-Length: "
          "5\r\n\r\n",
      "\3HTTP/1.1 307 X\r\nLocation: https://user@[::1]:80/%2e%2e\r\nLink: </x>;rel=next\r\n\r\n",
      "\4org/name@refs/pr/1:Q4_K_M",
      "\4datasets/org/name\n*[a-z]*",
  };
}
