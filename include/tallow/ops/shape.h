// Shape: views, joins, repeats and the order of dimensions. Views share the elements of self.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

/// self with another shape, of which one size may be -1; a view where that is possible.
Tensor reshape(const Tensor& self, const Shape& shape);
/// The same, but throws Error where elements would have to move.
Tensor view(const Tensor& self, const Shape& size);
/// The same bytes as elements of another dtype; the last dimension changes where the widths differ.
Tensor view(const Tensor& self, DType dtype);
Tensor view_as(const Tensor& self, const Tensor& other);
Tensor reshape_as(const Tensor& self, const Tensor& other);
/// Dimensions start_dim to end_dim as one.
Tensor flatten(const Tensor& self, int64_t start_dim = 0, int64_t end_dim = -1);
/// A vector of all elements.
Tensor ravel(const Tensor& self);
/// One dimension as several; one of the sizes may be -1.
Tensor unflatten(const Tensor& self, int64_t dim, const Shape& sizes);

Tensor permute(const Tensor& self, const Dims& dims);
Tensor transpose(const Tensor& self, int64_t dim0, int64_t dim1);
Tensor swapaxes(const Tensor& self, int64_t axis0, int64_t axis1);
Tensor swapdims(const Tensor& self, int64_t dim0, int64_t dim1);
/// The transpose of a matrix; fewer dimensions as they are.
Tensor t(const Tensor& self);
/// The conjugate transpose of the last two dimensions.
Tensor adjoint(const Tensor& self);
/// Dimensions `source` moved to the places `destination`, the others in order.
Tensor movedim(const Tensor& self, const Dims& source, const Dims& destination);
Tensor moveaxis(const Tensor& self, const Dims& source, const Dims& destination);
/// Without the dimensions of size 1: all of them, or those of `dim`.
Tensor squeeze(const Tensor& self);
Tensor squeeze(const Tensor& self, const Dims& dim);
Tensor unsqueeze(const Tensor& self, int64_t dim);
/// Dimensions of size 1 repeated without a copy; -1 keeps a size.
Tensor expand(const Tensor& self, const Shape& size);
Tensor expand_as(const Tensor& self, const Tensor& other);
Tensor broadcast_to(const Tensor& self, const Shape& size);
Tensors broadcast_tensors(const Tensors& tensors);
/// With 1, 2 or 3 dimensions at least.
Tensor atleast_1d(const Tensor& self);
Tensor atleast_2d(const Tensor& self);
Tensor atleast_3d(const Tensor& self);
Tensors atleast_1d(const Tensors& tensors);
Tensors atleast_2d(const Tensors& tensors);
Tensors atleast_3d(const Tensors& tensors);

Tensor narrow(const Tensor& self, int64_t dim, int64_t start, int64_t length);
/// The same with a 0-dimensional integer tensor for the start.
Tensor narrow(const Tensor& self, int64_t dim, const Tensor& start, int64_t length);
Tensor narrow_copy(const Tensor& self, int64_t dim, int64_t start, int64_t length);
/// The slice at one index of a dimension, which goes.
Tensor select(const Tensor& self, int64_t dim, int64_t index);
/// Elements start, start + step, ... before `end` of a dimension; bounds are as Python's.
Tensor slice(const Tensor& self, int64_t dim = 0, std::optional<int64_t> start = {},
             std::optional<int64_t> end = {}, int64_t step = 1);
/// The diagonal of dimensions dim1 and dim2, as the last dimension of the result.
Tensor diagonal(const Tensor& self, int64_t offset = 0, int64_t dim1 = 0, int64_t dim2 = 1);
/// Windows of `size` elements, `step` apart, along a dimension; they become the last dimension.
Tensor unfold(const Tensor& self, int64_t dimension, int64_t size, int64_t step);
/// A view with strides of one's choice, counted in elements of the memory; `storage_offset` from
/// its start, or self's where not given. Throws Error past the memory's end.
Tensor as_strided(const Tensor& self, const Shape& size, const Shape& stride,
                  std::optional<int64_t> storage_offset = {});
/// A copy, of which the gradient goes to self.
Tensor clone(const Tensor& self);
/// self with its elements in row-major order without gaps: self where they are.
Tensor contiguous(const Tensor& self);
/// input [..., k] in a block dtype. With `importance` [k] the error that is made small is the sum of
/// importance * (input - result)^2 along a row; without it this is input.to(dtype). Throws Error
/// for a dtype that is not of blocks, and a k or an importance that does not fit. Has no gradient.
Tensor quantize(const Tensor& input, DType dtype, const Tensor& importance = {});

// Views as copies of their own.
Tensor alias_copy(const Tensor& self);
Tensor as_strided_copy(const Tensor& self, const Shape& size, const Shape& stride,
                       std::optional<int64_t> storage_offset = {});
Tensor diagonal_copy(const Tensor& self, int64_t offset = 0, int64_t dim1 = 0, int64_t dim2 = 1);
Tensor expand_copy(const Tensor& self, const Shape& size);
Tensor permute_copy(const Tensor& self, const Dims& dims);
Tensor select_copy(const Tensor& self, int64_t dim, int64_t index);
Tensor slice_copy(const Tensor& self, int64_t dim = 0, std::optional<int64_t> start = {},
                  std::optional<int64_t> end = {}, int64_t step = 1);
Tensor squeeze_copy(const Tensor& self);
Tensor squeeze_copy(const Tensor& self, const Dims& dim);
Tensor t_copy(const Tensor& self);
Tensor transpose_copy(const Tensor& self, int64_t dim0, int64_t dim1);
Tensor unfold_copy(const Tensor& self, int64_t dimension, int64_t size, int64_t step);
Tensor unsqueeze_copy(const Tensor& self, int64_t dim);
Tensor view_copy(const Tensor& self, const Shape& size);
Tensor view_copy(const Tensor& self, DType dtype);
Tensors unbind_copy(const Tensor& self, int64_t dim = 0);
Tensors split_copy(const Tensor& self, int64_t split_size, int64_t dim = 0);
Tensors split_with_sizes_copy(const Tensor& self, const Dims& split_sizes, int64_t dim = 0);

/// The tensors one after the other along a dimension; their other sizes are equal. Dtypes promote.
Tensor cat(const Tensors& tensors, int64_t dim = 0);
Tensor concat(const Tensors& tensors, int64_t dim = 0);
Tensor concatenate(const Tensors& tensors, int64_t dim = 0);
/// Tensors of one shape along a new dimension.
Tensor stack(const Tensors& tensors, int64_t dim = 0);
Tensor hstack(const Tensors& tensors);
Tensor vstack(const Tensors& tensors);
Tensor row_stack(const Tensors& tensors);
Tensor dstack(const Tensors& tensors);
Tensor column_stack(const Tensors& tensors);

/// Pieces of `split_size_or_sections` elements each (the last may be shorter), or of each size.
Tensors split(const Tensor& self, const Dims& split_size_or_sections, int64_t dim = 0);
Tensors split_with_sizes(const Tensor& self, const Dims& split_sizes, int64_t dim = 0);
Tensors unsafe_split(const Tensor& self, int64_t split_size, int64_t dim = 0);
Tensors unsafe_split_with_sizes(const Tensor& self, const Dims& split_sizes, int64_t dim = 0);
/// At most `chunks` pieces of one size (the last may be shorter).
Tensors chunk(const Tensor& self, int64_t chunks, int64_t dim = 0);
Tensors unsafe_chunk(const Tensor& self, int64_t chunks, int64_t dim = 0);
/// A number: that many pieces, the first ones longer by one where it does not divide. A list (or a
/// tensor): pieces that end at these indices.
Tensors tensor_split(const Tensor& self, const Dims& indices_or_sections, int64_t dim = 0);
Tensors tensor_split(const Tensor& self, const Tensor& tensor_indices_or_sections, int64_t dim = 0);
Tensors hsplit(const Tensor& self, const Dims& indices_or_sections);
Tensors vsplit(const Tensor& self, const Dims& indices_or_sections);
Tensors dsplit(const Tensor& self, const Dims& indices_or_sections);
/// The slices along a dimension.
Tensors unbind(const Tensor& self, int64_t dim = 0);

/// self `repeats` times along each dimension; more repeats than dimensions add dimensions.
Tensor repeat(const Tensor& self, const Shape& repeats);
/// The same, with fewer repeats than dimensions meaning the last ones.
Tensor tile(const Tensor& self, const Dims& dims);
/// Each element (or slice along `dim`) `repeats` times in a row, on the flat tensor without `dim`.
Tensor repeat_interleave(const Tensor& self, int64_t repeats, std::optional<int64_t> dim = {},
                         std::optional<int64_t> output_size = {});
/// The same with a count for each.
Tensor repeat_interleave(const Tensor& self, const Tensor& repeats, std::optional<int64_t> dim = {},
                         std::optional<int64_t> output_size = {});
/// Index i, repeats[i] times.
Tensor repeat_interleave(const Tensor& repeats, std::optional<int64_t> output_size = {});

/// self with the order of the elements along each of `dims` reversed. Throws Error for a dimension
/// that is named twice.
Tensor flip(const Tensor& self, const Dims& dims);
Tensor fliplr(const Tensor& self);
Tensor flipud(const Tensor& self);
/// Elements moved on by `shifts` along `dims`, the last ones to the front; on the flat tensor where
/// no dims are given.
Tensor roll(const Tensor& self, const Dims& shifts, const Dims& dims = {});
/// Turned by k times 90 degrees in the plane of two dimensions.
Tensor rot90(const Tensor& self, int64_t k = 1, const Dims& dims = {0, 1});

/// `input` with `pad` elements added (or, where negative, taken away) in front and behind: of the
/// last dimension first. mode is "constant" (any dimensions), "reflect", "replicate" or "circular"
/// (the last one to three).
Tensor pad(const Tensor& input, const Dims& pad, std::string_view mode = "constant",
           std::optional<double> value = {});
Tensor constant_pad_nd(const Tensor& self, const Dims& pad, const Scalar& value = 0);
/// Patches of input [batch, channels, height, width] as columns [batch, channels * kernel, patches]
/// (torch.nn.functional.unfold; in Python there, since Tensor.unfold is another function).
Tensor im2col(const Tensor& input, const Dims& kernel_size, const Dims& dilation = 1,
              const Dims& padding = 0, const Dims& stride = 1);
/// The adjoint of im2col: columns added up to images of `output_size`.
Tensor fold(const Tensor& input, const Dims& output_size, const Dims& kernel_size,
            const Dims& dilation = 1, const Dims& padding = 0, const Dims& stride = 1);

/// [..., c r^2, h, w] as [..., c, h r, w r]. Shi et al., 2016.
Tensor pixel_shuffle(const Tensor& self, int64_t upscale_factor);
Tensor pixel_unshuffle(const Tensor& self, int64_t downscale_factor);
/// Channels (dimension 1) of `groups` groups interleaved. Zhang et al., 2018.
Tensor channel_shuffle(const Tensor& input, int64_t groups);

}  // namespace tallow
