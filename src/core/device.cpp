// Names of devices.
#include "tallow/device.h"

namespace tallow {

std::string to_string(Device device) {
  static constexpr const char* names[kDeviceKinds] = {"cpu", "cuda", "metal"};
  std::string name = names[static_cast<int>(device.kind)];
  return device.kind == DeviceKind::cpu ? name : name + ":" + std::to_string(device.index);
}

}  // namespace tallow
