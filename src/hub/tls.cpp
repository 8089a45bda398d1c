// TLS through mbedTLS. Certificates and host names are always verified.
#include <cstring>
#include <mutex>
#include <utility>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#if MBEDTLS_VERSION_MAJOR >= 3
#include <psa/crypto.h>
#endif

#include "core/read_file.h"
#include "hub/environment.h"
#include "hub/names.h"
#include "hub/stream.h"

namespace tallow::hub {
namespace {

using Kind = HubError::Kind;

std::string reason(int error) {
  char text[128];
  mbedtls_strerror(error, text, sizeof text);
  return text;
}

/// The file of trusted authorities: what the environment names, else where systems keep it.
std::string authorities_file() {
  for (const char* name : {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}) {
    if (auto path = environment(name)) return *path;
  }
  for (const char* path :
       {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/ssl/cert.pem"}) {
    if (file_exists(path)) return path;
  }
  fail_hub(Kind::usage, "no certificates of authorities found; install the package ",
           "ca-certificates, or name a file of them in SSL_CERT_FILE");
}

/// What every connection shares, read once.
struct Shared {
  mbedtls_x509_crt authorities;
  mbedtls_entropy_context entropy;
  mbedtls_ctr_drbg_context random;
  std::mutex mutex;  // over `random`

  Shared() {
    mbedtls_x509_crt_init(&authorities);
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&random);
    try {
      seed();
      read_authorities();
    } catch (...) {
      free();
      throw;
    }
  }
  ~Shared() { free(); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  static int random_bytes(void* self, unsigned char* to, size_t bytes) {
    auto* shared = static_cast<Shared*>(self);
    const std::lock_guard lock(shared->mutex);
    return mbedtls_ctr_drbg_random(&shared->random, to, bytes);
  }

 private:
  void free() {
    mbedtls_ctr_drbg_free(&random);
    mbedtls_entropy_free(&entropy);
    mbedtls_x509_crt_free(&authorities);
  }

  void seed() {
#if MBEDTLS_VERSION_MAJOR >= 3
    psa_crypto_init();
#endif
    const int error = mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, nullptr, 0);
    if (error != 0) fail_hub(Kind::network, "TLS: no random numbers: ", reason(error));
  }

  void read_authorities() {
    const std::string path = authorities_file();
    const std::string text = read_file(path, size_t{64} << 20);
    // Some of a system's certificates may be of a kind that mbedTLS does not know: it counts them.
    const int skipped = mbedtls_x509_crt_parse(
        &authorities, reinterpret_cast<const unsigned char*>(text.c_str()), text.size() + 1);
    if (skipped < 0 || authorities.version == 0) {
      fail_hub(Kind::usage, path, ": holds no certificate of an authority: ", reason(skipped));
    }
  }
};

Shared& shared() {
  static Shared instance;
  return instance;
}

class Tls final : public Stream {
 public:
  Tls(std::unique_ptr<Stream> below, const Url& url) : below_(std::move(below)), url_(url) {
    mbedtls_ssl_init(&ssl_);
    mbedtls_ssl_config_init(&config_);
    try {
      configure();
      handshake();
    } catch (...) {
      free();
      throw;
    }
  }
  ~Tls() override { free(); }
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;

  size_t read_some(void* to, size_t bytes) override {
    const int n =
        repeat([&] { return mbedtls_ssl_read(&ssl_, static_cast<unsigned char*>(to), bytes); });
    if (n == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) return 0;
    if (n == 0) fail_hub(Kind::network, url_.authority(), ": the connection was cut");
    if (n < 0) broken("reading", n);
    return static_cast<size_t>(n);
  }

  size_t write_some(const void* from, size_t bytes) override {
    const int n = repeat(
        [&] { return mbedtls_ssl_write(&ssl_, static_cast<const unsigned char*>(from), bytes); });
    if (n < 0) broken("writing", n);
    return static_cast<size_t>(n);
  }

  void set_patience(const Patience& patience) override { below_->set_patience(patience); }

 private:
  void free() {
    mbedtls_ssl_free(&ssl_);
    mbedtls_ssl_config_free(&config_);
  }

  void configure() {
    check(mbedtls_ssl_config_defaults(&config_, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                      MBEDTLS_SSL_PRESET_DEFAULT));
    mbedtls_ssl_conf_authmode(&config_, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(&config_, &shared().authorities, nullptr);
    mbedtls_ssl_conf_rng(&config_, Shared::random_bytes, &shared());
    check(mbedtls_ssl_setup(&ssl_, &config_));
    check(mbedtls_ssl_set_hostname(&ssl_, url_.host.c_str()));
    mbedtls_ssl_set_bio(&ssl_, this, send, receive, nullptr);
  }

  void handshake() {
    const int error = repeat([&] { return mbedtls_ssl_handshake(&ssl_); });
    if (const uint32_t flags = mbedtls_ssl_get_verify_result(&ssl_);
        error != 0 && flags != 0 && flags != 0xFFFFFFFFu) {
      char text[512];
      mbedtls_x509_crt_verify_info(text, sizeof text, "", flags);
      std::string why = text;
      while (why.ends_with('\n')) why.pop_back();
      fail_hub(Kind::denied, url_.host, ": its certificate is not to be trusted: ", why,
               "; if it is yours, name its authority's file in SSL_CERT_FILE");
    }
    if (error != 0) broken("TLS handshake", error);
  }

  void check(int error) const {
    if (error != 0) fail_hub(Kind::network, url_.host, ": TLS: ", reason(error));
  }

  template <class Call>
  int repeat(const Call& call) {
    int result;
    do {
      result = call();
    } while (result == MBEDTLS_ERR_SSL_WANT_READ || result == MBEDTLS_ERR_SSL_WANT_WRITE);
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    return result;
  }

  [[noreturn]] void broken(const char* doing, int error) const {
    fail_hub(Kind::network, url_.authority(), ": ", doing, ": ", reason(error));
  }

  // No exception may pass through C.
  static int send(void* self, const unsigned char* from, size_t bytes) {
    return static_cast<Tls*>(self)->guarded(
        [&](Stream& below) { return below.write_some(from, bytes); });
  }
  static int receive(void* self, unsigned char* to, size_t bytes) {
    return static_cast<Tls*>(self)->guarded(
        [&](Stream& below) { return below.read_some(to, bytes); });
  }
  template <class Call>
  int guarded(const Call& call) {
    try {
      return static_cast<int>(call(*below_));
    } catch (...) {
      error_ = std::current_exception();
      return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    }
  }

  std::unique_ptr<Stream> below_;
  Url url_;
  std::exception_ptr error_;
  mbedtls_ssl_context ssl_;
  mbedtls_ssl_config config_;
};

}  // namespace

std::unique_ptr<Stream> start_tls(std::unique_ptr<Stream> below, const Url& url) {
  return std::make_unique<Tls>(std::move(below), url);
}

}  // namespace tallow::hub
