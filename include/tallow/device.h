// Where a tensor's memory is.
#pragma once

#include <cstdint>
#include <string>

namespace tallow {

enum class DeviceKind : uint8_t { cpu, cuda, metal };
inline constexpr int kDeviceKinds = 3;

struct Device {
  DeviceKind kind = DeviceKind::cpu;
  uint8_t index = 0;
  friend bool operator==(Device, Device) = default;
};

inline constexpr Device cpu_device{};
std::string to_string(Device device);

}  // namespace tallow
