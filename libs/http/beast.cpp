// The one place where Beast's implementation is compiled.
#include <boost/beast/src.hpp>
