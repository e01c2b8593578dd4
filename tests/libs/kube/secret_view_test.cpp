#include "kube/secret_view.hpp"

#include <catch2/catch.hpp>

#include "base/digest.hpp"

using sluice::base::base64_encode;
using sluice::base::Masks;
using sluice::doc::Json;
using sluice::kube::mask_secret;
using sluice::kube::SecretView;

namespace {
Json secret(const Json& values) {
  Json object = {{"apiVersion", "v1"}, {"kind", "Secret"}, {"data", Json::object()}};
  for (const auto& [key, value] : values.items()) object["data"][key] = base64_encode(value.get<std::string>());
  return object;
}
}  // namespace

TEST_CASE("a value is decoded, trimmed where asked, and masked from then on") {
  const auto masks = std::make_shared<Masks>();
  const SecretView view(secret({{"token", "hunter2-hunter2\n"}, {"user", "somebody-else"}}), "apps/auth", masks);
  CHECK(masks->empty());
  CHECK(view.find("token").value() == "hunter2-hunter2\n");
  CHECK(view.find_trimmed("token").value() == "hunter2-hunter2");
  CHECK(view.require_trimmed("token").value() == "hunter2-hunter2");
  CHECK(masks->apply("hunter2-hunter2") == "*****");
  CHECK(view.find_public("user").value() == "somebody-else");
  CHECK(masks->apply("somebody-else") == "somebody-else");
  CHECK_FALSE(view.find("other").value());
}

TEST_CASE("errors name Secret and key, and no value") {
  const auto masks = std::make_shared<Masks>();
  Json object = secret({{"empty", ""}, {"blank", " \n"}});
  object["data"]["bad"] = "%%%";
  const SecretView view(object, "apps/auth", masks);
  CHECK(view.require("token").error().message == "key 'token' of Secret 'apps/auth' is missing");
  CHECK(view.require("empty").error().message == "key 'empty' of Secret 'apps/auth' is empty");
  CHECK(view.require_trimmed("blank").error().message == "key 'blank' of Secret 'apps/auth' is empty");
  CHECK(view.find("bad").error().message == "key 'bad' of Secret 'apps/auth' is not base64");
  CHECK(view.all().error().kind == sluice::base::ErrorKind::invalid);
  CHECK_FALSE(SecretView(nullptr, "apps/none", masks).find("token").value());
}

TEST_CASE("all values are handed out and masked, but for the public ones") {
  const auto masks = std::make_shared<Masks>();
  const SecretView view(secret({{"password", "hunter2-hunter2"}, {"username", "somebody-else"}}), "apps/auth", masks);
  const auto data = view.all({"username"}).value();
  CHECK(data == SecretView::Data{{"password", "hunter2-hunter2"}, {"username", "somebody-else"}});
  CHECK(masks->apply("somebody-else hunter2-hunter2") == "somebody-else *****");
}

TEST_CASE("the values of a Secret's manifest are masked, whatever their type") {
  Masks masks;
  mask_secret(Json::parse(R"({"kind": "Secret", "data": {"pin": 987654321, "key": "c3dvcmRmaXNoLTQy"},
                              "stringData": {"port": 54321, "word": "open-sesame"}})"),
              masks);
  CHECK(masks.apply("987654321, swordfish-42, c3dvcmRmaXNoLTQy, 54321, open-sesame") ==
        "*****, *****, *****, *****, *****");
  Masks none;
  mask_secret(Json::parse(R"({"kind": "ConfigMap", "data": {"pin": "987654321"}})"), none);
  CHECK(none.empty());
}
