#include "StandInDevice.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <stdexcept>

#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_copy_from.h>
#include <ATen/ops/_local_scalar_dense.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/resize_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/DeviceType.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <sys/mman.h>
#include <torch/library.h>

namespace OpenMMScore::testing {
namespace {

constexpr auto device = c10::DeviceType::PrivateUse1;

std::atomic<std::int64_t> numOperations = 0;

struct Block {
    void* begin;
    std::size_t size;
};

void release(void* context) {
    const std::unique_ptr<Block> block(static_cast<Block*>(context));
    munmap(block->begin, block->size);
}

/** Pages that nobody may touch. */
class ClosedMemory : public c10::Allocator {
public:
    c10::DataPtr allocate(std::size_t size) override {
        auto block = std::make_unique<Block>(Block{nullptr, std::max<std::size_t>(size, 1)});
        block->begin = mmap(nullptr, block->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block->begin == MAP_FAILED)
            throw std::runtime_error("no memory for the stand-in device");
        void* begin = block->begin;
        return {begin, block.release(), &release, c10::Device(device, 0)};
    }
    c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
    void copy_data(void* /*to*/, const void* /*from*/, std::size_t /*size*/) const override {
        throw std::logic_error("the stand-in device copies by _copy_from");
    }
};

ClosedMemory closedMemory;

/** The memory of a tensor, open as long as this lives. */
class Opened {
public:
    explicit Opened(const at::Tensor& tensor) {
        if (tensor.device().type() == device && tensor.storage().nbytes() > 0)
            block = static_cast<const Block*>(tensor.storage().data_ptr().get_context());
        protect(PROT_READ | PROT_WRITE);
    }
    ~Opened() { protect(PROT_NONE); }
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;

private:
    void protect(int how) const {
        if (block)
            mprotect(block->begin, block->size, how);
    }
    const Block* block = nullptr;
};

/** The same numbers in the same memory, for the processor. */
at::Tensor onProcessor(const at::Tensor& tensor) {
    if (tensor.device().is_cpu())
        return tensor;
    return at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(),
                         at::TensorOptions().dtype(tensor.scalar_type()));
}

at::Tensor copyFrom(const at::Tensor& from, const at::Tensor& to, bool /*nonBlocking*/) {
    static std::mutex mutex;
    const std::lock_guard<std::mutex> lock(mutex);
    const Opened one(from), other(to);
    onProcessor(to).copy_(onProcessor(from));
    return to;
}

const at::Tensor& resize(const at::Tensor& tensor, at::IntArrayRef sizes,
                         std::optional<at::MemoryFormat> /*format*/) {
    std::int64_t numel = 1;
    for (std::int64_t size : sizes)
        numel *= size;
    const std::size_t bytes = (tensor.storage_offset() + numel) * tensor.itemsize();
    if (bytes > tensor.storage().nbytes()) {
        // What the tensor held is lost: no operation of the product makes a tensor grow.
        tensor.storage().set_data_ptr_noswap(closedMemory.allocate(bytes));
        tensor.storage().set_nbytes(bytes);
    }
    tensor.unsafeGetTensorImpl()->set_sizes_contiguous(sizes);
    return tensor;
}

at::Tensor copyFromAndResize(const at::Tensor& from, const at::Tensor& to) {
    if (to.sizes() != from.sizes())
        resize(to, from.sizes(), std::nullopt);
    return copyFrom(from, to, false);
}

at::Tensor empty(at::IntArrayRef sizes, std::optional<at::ScalarType> type, std::optional<at::Layout>,
                 std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
    return at::detail::empty_generic(sizes, &closedMemory, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                     c10::dtype_or_default(type), format);
}

at::Tensor emptyStrided(at::IntArrayRef sizes, at::IntArrayRef strides, std::optional<at::ScalarType> type,
                        std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
    return at::detail::empty_strided_generic(sizes, strides, &closedMemory,
                                             c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                             c10::dtype_or_default(type));
}

at::Scalar item(const at::Tensor& tensor) {
    return at::_local_scalar_dense(tensor.to(at::kCPU));
}

/** What a GPU's operations refuse as well; numbers without an axis may lie anywhere. */
void refuseProcessors(const at::Tensor& tensor, const c10::OperatorHandle& operation) {
    if (tensor.defined() && tensor.device().is_cpu() && tensor.dim() > 0)
        throw std::logic_error(toString(operation.operator_name()) +
                               ": tensors of the processor and of the stand-in device are mixed");
}

void computeOnProcessor(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
    numOperations++;
    for (const c10::IValue& value : torch::jit::last(*stack, operation.schema().arguments().size())) {
        if (value.isTensor())
            refuseProcessors(value.toTensor(), operation);
        if (value.isTensorList())
            for (const at::Tensor& tensor : value.toTensorVector())
                refuseProcessors(tensor, operation);
    }
    at::native::cpu_fallback(operation, stack);
}

struct Hooks : at::PrivateUse1HooksInterface {
    bool isBuilt() const override { return true; }
    bool isAvailable() const override { return true; }
    bool hasPrimaryContext(c10::DeviceIndex /*index*/) const override { return true; }
    c10::DeviceIndex deviceCount() const override { return 1; }
    c10::DeviceIndex getCurrentDevice() const override { return 0; }
    void setCurrentDevice(c10::DeviceIndex /*index*/) const override {}
    c10::DeviceIndex exchangeDevice(c10::DeviceIndex /*index*/) const override { return 0; }
    c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex /*index*/) const override { return 0; }
};

/** One device with one stream, on which nothing is ever under way. */
struct Guard : c10::impl::NoOpDeviceGuardImpl<device> {
    c10::Device exchangeDevice(c10::Device /*other*/) const override { return getDevice(); }
    c10::Device getDevice() const override { return {device, 0}; }
    c10::Stream getStream(c10::Device /*where*/) const noexcept override { return stream(); }
    c10::Stream getNewStream(c10::Device /*where*/, int /*priority*/) const override { return stream(); }
    c10::Stream exchangeStream(c10::Stream /*other*/) const noexcept override { return stream(); }
    void record(void** /*event*/, const c10::Stream& /*stream*/, c10::DeviceIndex /*index*/,
                c10::EventFlag /*flag*/) const override {}
    void block(void* /*event*/, const c10::Stream& /*stream*/) const override {}
    bool queryEvent(void* /*event*/) const override { return true; }

private:
    static c10::Stream stream() { return c10::Stream(c10::Stream::DEFAULT, c10::Device(device, 0)); }
};

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
    m.impl("empty.memory_format", &empty);
    m.impl("empty_strided", &emptyStrided);
    m.impl("as_strided", &at::native::as_strided_tensorimpl);
    m.impl("view", &at::native::view);
    m.impl("_reshape_alias", &at::native::_reshape_alias);
    m.impl("resize_", &resize);
    m.impl("_copy_from", &copyFrom);
    m.impl("_copy_from_and_resize", &copyFromAndResize);
    m.impl("_local_scalar_dense", &item);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
    m.fallback(torch::CppFunction::makeFromBoxedFunction<&computeOnProcessor>());
}

} // namespace

void openStandInDevice() {
    static Hooks hooks;
    if (at::isPrivateUse1HooksRegistered())
        return;
    c10::register_privateuse1_backend("standin");
    at::RegisterPrivateUse1HooksInterface(&hooks);
}

std::int64_t getNumStandInOperations() {
    return numOperations;
}

} // namespace OpenMMScore::testing
