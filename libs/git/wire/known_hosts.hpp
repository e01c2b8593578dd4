// Host keys in OpenSSH's known_hosts format (sshd(8), "SSH_KNOWN_HOSTS FILE
// FORMAT"). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace sluice::git::wire {

class KnownHosts {
 public:
  // Keeps the lines that name this host: plain, with wildcards and negation, or
  // hashed (|1|salt|hash); a port other than 22 is looked up as [host]:port.
  // `invalid`, with the line, where such a line does not parse; `unsupported`
  // for @cert-authority, which would have to be honoured to be safe to skip.
  static base::Result<KnownHosts> parse(std::string_view text, std::string_view host, int port);

  // `untrusted`, saying whether the host is unknown, its key differs, or the
  // key was revoked. `type` as in the wire format (ssh-ed25519), `key` in base64.
  base::Result<void> check(std::string_view type, std::string_view key) const;

  // Key types known for the host, in the order of the file: what to ask the
  // server for, so that it shows a key that can be compared.
  std::vector<std::string> key_types() const;
  const std::string& host() const { return host_; }

 private:
  struct Entry {
    std::string type;
    std::string key;
    bool revoked = false;
  };
  std::string host_;
  std::vector<Entry> entries_;
};

}  // namespace sluice::git::wire
