#include "source-controller/options.hpp"

#include <catch2/catch.hpp>

using namespace sluice;
using namespace std::chrono_literals;

namespace {

base::Result<source_controller::SourceOptions> parse(const std::vector<std::string>& arguments) {
  source_controller::SourceOptions options;
  controller::FlagSet flags("source-controller", "test");
  source_controller::add_flags(flags, options);
  SLUICE_CHECK(flags.parse(arguments));
  return options;
}

}  // namespace

TEST_CASE("the flags of upstream's manifest are understood") {
  const auto options = parse({"--storage-path=/data",
                              "--storage-adv-addr=source-controller.flux-system.svc.cluster.local.", "--artifact-retention-ttl=90s", "--artifact-retention-records=5",
                              "--artifact-digest-algo=sha512", "--storage-addr=:9999", "--helm-cache-max-size=10",
                              "--ssh-hostkey-algos=ssh-ed25519"});
  REQUIRE(options);
  const auto store = source_controller::store_options(*options, "pod");
  REQUIRE(store);
  CHECK(store->root == "/data");
  CHECK(store->advertised_address == "source-controller.flux-system.svc.cluster.local.");
  CHECK(store->retention_ttl == 90s);
  CHECK(store->retention_records == 5);
  CHECK(store->digest_algorithm == base::DigestAlgorithm::sha512);
  CHECK(options->storage_addr == ":9999");
}

TEST_CASE("the defaults are upstream's") {
  const auto options = parse({});
  REQUIRE(options);
  const auto store = source_controller::store_options(*options, "pod");
  REQUIRE(store);
  CHECK(store->root == "/data");
  CHECK(store->advertised_address == "localhost:9090");
  CHECK(store->retention_ttl == 1min);
  CHECK(store->retention_records == 2);
  CHECK(store->digest_algorithm == base::DigestAlgorithm::sha256);
}

TEST_CASE("a value that makes no sense is refused by the name of its flag") {
  const auto refusal = [](const std::vector<std::string>& arguments) {
    const auto options = parse(arguments);
    if (!options) return options.error().message;
    const auto store = source_controller::store_options(*options, "pod");
    return store ? std::string("accepted") : store.error().message;
  };
  CHECK(refusal({"--artifact-digest-algo=md5"}).starts_with("--artifact-digest-algo: "));
  CHECK(refusal({"--artifact-retention-records=0"}).starts_with("--artifact-retention-records: "));
  CHECK(refusal({"--storage-addr=9090"}).starts_with("--storage-addr: "));
}

TEST_CASE("waiting for the network leaves threads for the disk") {
  CHECK(source_controller::worker_threads_for(2) == 4);
  CHECK(source_controller::worker_threads_for(20) == 22);
}
