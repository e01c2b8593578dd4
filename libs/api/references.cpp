#include "api/references.hpp"

namespace sluice::api {

std::string CrossNamespaceSourceReference::str() const {
  std::string out = kind + "/";
  if (!namespace_.empty()) out += namespace_ + "/";
  return out += name;
}

}  // namespace sluice::api
