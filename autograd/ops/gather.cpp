#include "autograd/ops/gather.h"

#include "autograd/ops/arithmetic.h"
#include "autograd/ops/unary.h"
#include "autograd/ops/view.h"
#include "kernels/embedding.h"

namespace hrm {
namespace {

// Ids on the CPU are cheap to check; on a device they were checked when the data was loaded.
void check_ids(const Tensor& ids, int64_t limit, const char* op) {
  HRM_CHECK(ids.dtype() == DType::i32, "[", op, "] indices must be i32, got ", ids.dtype());
  if (ids.device() != Device::cpu) return;
  const Tensor dense_ids = ids.contiguous();
  const int32_t* id = dense_ids.data<int32_t>();
  for (int64_t i = 0; i < ids.numel(); ++i)
    HRM_CHECK(id[i] >= 0 && id[i] < limit, "[", op, "] index ", i, " must be in 0..", limit - 1,
              ", got ", id[i]);
}

}  // namespace

Tensor embedding(const Tensor& table, const Tensor& indices, double scale, const Tensor& copy) {
  const Tensor rows = dense(copy.defined() ? copy : table), ids = indices.contiguous();
  HRM_CHECK(table.ndim() == 2 && rows.shape() == table.shape() &&
                accumulate_type(rows.dtype()) == accumulate_type(table.dtype()),
            "[embedding] needs a table [n, dim] and a copy like it, got ", table.dtype(),
            table.shape(), " and ", rows.dtype(), rows.shape());
  const int64_t dim = table.size(1), n = ids.numel();
  check_same_device("embedding", {&table, &ids});
  check_ids(ids, table.size(0), "embedding");
  Tensor y = empty(ids.shape().inserted(ids.ndim(), dim), rows.dtype(), table.device());
  HRM_DISPATCH(gather_rows, y.context(), y.dtype(), y.data(), rows.data(), ids.data<int32_t>(), n,
               dim, scale);
  return record(
      "embedding", y, {table}, {{"ids", ids}},
      [shape = table.shape(), type = table.dtype(), scale](const Saved& saved, const Tensor& grad) {
        const Tensor dy = grad.contiguous(), &ids = saved["ids"];
        Tensor dtable = zeros(shape, type, dy.device());
        HRM_DISPATCH(scatter_add_rows, dy.context(), type, dtable.data(), dy.dtype(), dy.data(),
                     ids.data<int32_t>(), ids.numel(), shape[1], shape[0], scale);
        return Tensors{dtable};
      });
}

Tensor one_hot(const Tensor& ids, int64_t classes, DType dtype) {
  check_ids(ids, classes, "one_hot");
  const Tensor all = arange(classes, DType::i32).to(ids.device());
  return cast(compare(CompareOp::eq, unsqueeze(ids, -1), all), dtype);
}

Tensor gather_last(const Tensor& input, const Tensor& indices) {
  const Tensor x = dense(input), index = indices.contiguous();
  HRM_CHECK(x.ndim() >= 1 && x.ndim() == index.ndim() &&
                x.shape().with(x.ndim() - 1, 0) == index.shape().with(x.ndim() - 1, 0),
            "[gather_last] input and index must agree in all but the last dimension, got ",
            x.shape(), " and ", index.shape());
  const int64_t cols = x.shape().back(), picks = index.shape().back();
  const int64_t rows = cols ? x.numel() / cols : 0;
  check_same_device("gather_last", {&x, &index});
  check_ids(index, cols, "gather_last");
  Tensor y = empty(index.shape(), x.dtype(), x.device());
  HRM_DISPATCH(gather_last, y.context(), x.dtype(), y.data(), x.data(), index.data<int32_t>(), rows,
               cols, picks);
  return record("gather_last", y, {input}, {{"index", index}},
                [shape = x.shape(), rows, cols, picks](const Saved& saved, const Tensor& grad) {
                  const Tensor dy = grad.contiguous();
                  Tensor dx = zeros(shape, dy.dtype(), dy.device());
                  HRM_DISPATCH(scatter_add_last, dy.context(), dy.dtype(), dx.data(), dy.data(),
                               saved["index"].data<int32_t>(), rows, cols, picks);
                  return Tensors{dx};
                });
}

Tensor scatter_add(const Tensor& input, const Tensor& indices, int64_t rows) {
  const Tensor source = dense(input), ids = indices.contiguous();
  HRM_CHECK(source.ndim() == 2 && ids.ndim() == 1 && source.size(0) == ids.size(0),
            "[scatter_add] needs source [n, dim] and ids [n], got ", source.shape(), " and ",
            ids.shape());
  check_same_device("scatter_add", {&source, &ids});
  check_ids(ids, rows, "scatter_add");
  Tensor y = zeros({rows, source.size(1)}, source.dtype(), source.device());
  HRM_DISPATCH(scatter_add_rows, y.context(), y.dtype(), y.data(), source.dtype(), source.data(),
               ids.data<int32_t>(), ids.numel(), source.size(1), rows, 1.0);
  return record(
      "scatter_add", y, {input}, {{"ids", ids}},
      [](const Saved& saved, const Tensor& dy) { return Tensors{embedding(dy, saved["ids"])}; });
}

}  // namespace hrm
