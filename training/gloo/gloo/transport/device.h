#ifndef GLOO_STANDIN_TRANSPORT_DEVICE_H_
#define GLOO_STANDIN_TRANSPORT_DEVICE_H_

namespace gloo::transport {

class Device;

class UnboundBuffer {
public:
    virtual ~UnboundBuffer();
};

} // namespace gloo::transport

#endif // GLOO_STANDIN_TRANSPORT_DEVICE_H_
