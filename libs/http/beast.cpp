// The one place where Beast's and Asio's TLS implementations are compiled.
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/beast/src.hpp>
