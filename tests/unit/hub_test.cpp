// Names, addresses and lists of the hub, as far as no server is needed.
#include <doctest/doctest.h>

#include "hub/digest.h"
#include "hub/environment.h"
#include "hub/names.h"
#include "hub/sha256.h"
#include "hub/url.h"

using namespace tallow::hub;

TEST_CASE("hub: a model's name has a revision and a file") {
  const auto name = parse_model_name("org/name@v1.0:sub/file.gguf");
  REQUIRE(name);
  CHECK(name->repo.id == "org/name");
  CHECK(name->repo.revision == "v1.0");
  CHECK(name->file == "sub/file.gguf");
  CHECK(parse_model_name("hf://org/name:Q4_K_M")->file == "Q4_K_M");
  CHECK(parse_model_name("https://huggingface.co/org/name")->repo.id == "org/name");
  for (const char* path : {"name", "./org/name", "/org/name", "a/b/c", "models/x.gguf", "org/",
                           "org/na me", "../name", "org/x.safetensors", "~/model", ""}) {
    CAPTURE(path);
    CHECK_FALSE(parse_model_name(path));
  }
}

TEST_CASE("hub: any repository's name may say its type") {
  CHECK(parse_repo_name("gpt2").repo.type == RepoType::model);
  CHECK(parse_repo_name("datasets/org/name@v1").repo.type == RepoType::dataset);
  CHECK(parse_repo_name("datasets/name").repo.id == "datasets/name");
  CHECK(parse_repo_name("spaces/org/name").repo.id == "org/name");
  CHECK_THROWS_AS(parse_repo_name("kernels/org/name"), HubError);
}

TEST_CASE("hub: globs match as fnmatch does") {
  CHECK(matches_glob("a/b.json", "*.json"));
  CHECK(matches_glob("model-00001-of-00002.safetensors", "model-*-of-*.safetensors"));
  CHECK(matches_glob("a]", "a[]]"));
  CHECK(matches_glob("b", "[!a]"));
  CHECK(matches_glob("-", "[a-]"));
  CHECK(matches_glob("[x", "[x"));
  CHECK_FALSE(matches_glob("config.json5", "*.json"));
  CHECK_FALSE(matches_glob("b", "[!a-c]"));
  CHECK_FALSE(matches_glob("", "?"));
}

TEST_CASE("hub: etags lose their marks") {
  CHECK(normalized_etag("W/\"abc\"") == "abc");
  CHECK(normalized_etag("\"abc\"") == "abc");
  for (const char* bad : {"", "\"\"", "\"../x\"", "\"a b\"", ".hidden"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(normalized_etag(bad), HubError);
  }
}

TEST_CASE("hub: addresses are taken apart and resolved") {
  const Url url = parse_url("HTTPS://User:p%40ss@Hub.Example:8443/a b?c=%2F#d", "t");
  CHECK(url.text() == "https://hub.example:8443/a%20b?c=%2F");
  CHECK(url.user == "User:p@ss");
  CHECK(parse_url("http://[::1]:80", "t").text() == "http://[::1]/");
  CHECK(resolve_url(url, "/x").text() == "https://hub.example:8443/x");
  CHECK(resolve_url(url, "x?y").text() == "https://hub.example:8443/x?y");
  CHECK(resolve_url(url, "//other/x").text() == "https://other/x");
  CHECK(resolve_url(url, "/x?to=http://other/").host == "hub.example");
  CHECK_FALSE(same_origin(url, parse_url("https://hub.example/", "t")));
  CHECK(same_origin(parse_url("http://a:80/x", "t"), parse_url("http://A/y", "t")));
  for (const char* bad : {"", "hub.example", "ftp://a", "http://", "http://a:0", "http://a:99999",
                          "http://[::1", "http://a b/", "http://a\r\nb/"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(parse_url(bad, "t"), HubError);
  }
}

TEST_CASE("hub: no_proxy names hosts and domains") {
  const Url url = parse_url("http://cdn.hub.example:8080/", "t");
  for (const char* list : {"*", "cdn.hub.example", "hub.example", ".hub.example", "*.example",
                           "x, CDN.hub.example", "cdn.hub.example:8080"}) {
    CAPTURE(list);
    CHECK(names_host(list, url));
  }
  for (const char* list : {"", "ub.example", "example.com", "cdn.hub.example:80", ","}) {
    CAPTURE(list);
    CHECK_FALSE(names_host(list, url));
  }
}

// RFC 6234 and FIPS 180-4's examples; of 'a' a million times, fed in pieces of every length.
TEST_CASE("hub: SHA-256") {
  const auto hash = [](const std::string& text) {
    Sha256 sha;
    sha.update(text.data(), text.size());
    return sha.finish();
  };
  CHECK(hash("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  const std::string many(1'000'000, 'a');
  Sha256 sha;
  for (size_t at = 0, step = 0; at < many.size(); step = step % 200 + 1) {
    const size_t taken = std::min(step, many.size() - at);
    sha.update(many.data() + at, taken);
    at += taken;
  }
  CHECK(sha.finish() == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("hub: base64") {
  CHECK(base64("") == "");
  CHECK(base64("a") == "YQ==");
  CHECK(base64("ab") == "YWI=");
  CHECK(base64("\xfb\xff\xfe") == "+//+");
  CHECK(base64("\xfb\xff\xfe", true) == "-__-");
}
