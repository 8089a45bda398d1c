// The modified Bessel function of order 0.
#pragma once

namespace tallow::signal {

double bessel_i0(double x);

}  // namespace tallow::signal
