"""Small configurations of the vision models of KerasHub: the parts that bench/hub_table.py names.

A part is a class of `keras_hub.models` or `keras_hub.layers` with its arguments, among which may be
other parts. Sizes are as small as the class takes them; every kind of block is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Part:
    """A class of KerasHub and the arguments it is built with."""

    name: str
    arguments: dict[str, Any]


def part(name: str, **arguments: Any) -> Part:
    return Part(name, arguments)


TEN = {"num_classes": 10}
FIXED = (64, 64, 3)
OPEN = ((64, 64), (96, 64))

RESNET = {
    "input_conv_filters": [64],
    "input_conv_kernel_sizes": [7],
    "stackwise_num_filters": [64, 16, 16, 24],
    "stackwise_num_blocks": [1, 2, 1, 1],
    "stackwise_num_strides": [1, 2, 2, 2],
}


def resnet(block: str, **others: Any) -> Part:
    return part("ResNetBackbone", **RESNET, block_type=block, **others)


def resnet_d(block: str) -> Part:
    stem = {"input_conv_filters": [8, 8, 64], "input_conv_kernel_sizes": [3, 3, 3]}
    return part("ResNetBackbone", **RESNET | stem, block_type=block)


DENSENET = part("DenseNetBackbone", stackwise_num_repeats=[2, 2, 2], growth_rate=8)

CSPNET = {
    "stem_filters": 8,
    "stem_kernel_size": 3,
    "stem_strides": 1,
    "stackwise_depth": [1, 2, 1],
    "stackwise_strides": [1, 2, 2],
    "stackwise_num_filters": [8, 16, 16],
}
CROSS = {
    "bottle_ratio": [0.5, 1.0],
    "block_ratio": [1.0, 0.5],
    "expand_ratio": [2.0, 1.0],
    "down_growth": True,
}
WIDE = {name: [1.0] for name in ("bottle_ratio", "block_ratio", "expand_ratio")}


def cspnet(block: str, stage: str, **others: Any) -> Part:
    given = {"block_type": block, "stage_type": stage, **CROSS}
    return part("CSPNetBackbone", **CSPNET, **given | others)


def efficientnet(kinds: list[str], **others: Any) -> Part:
    return part(
        "EfficientNetBackbone",
        stackwise_kernel_sizes=[3, 5, 3],
        stackwise_num_repeats=[1, 2, 2],
        stackwise_input_filters=[8, 8, 16],
        stackwise_output_filters=[8, 16, 24],
        stackwise_expansion_ratios=[1, 4, 4],
        stackwise_squeeze_and_excite_ratios=[0.25, 0.25, 0.25],
        stackwise_strides=[1, 2, 2],
        stackwise_block_types=kinds,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        num_features=32,
        **others,
    )


V1 = {
    "include_stem_padding": True,
    "use_depth_divisor_as_min_depth": True,
    "cap_round_filter_decrease": True,
    "stem_conv_padding": "valid",
    "batch_norm_momentum": 0.9,
}

MOBILENET = {
    "stackwise_expansion": [[8, 16], [16, 24]],
    "stackwise_num_blocks": [2, 2],
    "stackwise_num_filters": [[8, 8], [16, 16]],
    "stackwise_kernel_size": [[3, 5], [5, 3]],
    "stackwise_num_strides": [[2, 1], [2, 1]],
    "stackwise_se_ratio": [[None, 0.25], [0.25, None]],
    "stackwise_activation": [["relu", "relu6"], ["hard_swish", "hard_swish"]],
    "stackwise_padding": [[1, 2], [2, 1]],
    "output_num_filters": 32,
    "depthwise_filters": 8,
    "depthwise_stride": 2,
    "depthwise_residual": False,
    "squeeze_and_excite": 0.5,
    "last_layer_filter": 24,
}
MOBILENET_FIXED = part("MobileNetBackbone", **MOBILENET, image_shape=FIXED)

MOBILENET_V5 = {
    "stackwise_block_types": [["er"], ["uir", "uir"], ["mqa", "mqa"]],
    "stackwise_num_blocks": [1, 2, 2],
    "stackwise_num_filters": [[8], [16, 16], [16, 16]],
    "stackwise_strides": [[2], [2, 1], [1, 1]],
    "stackwise_act_layers": [["relu"], ["relu", "gelu"], ["gelu", "gelu"]],
    "stackwise_exp_ratios": [[2.0], [2.0, 2.0], [1.0, 1.0]],
    "stackwise_se_ratios": [[0.0], [0.0, 0.0], [0.0, 0.0]],
    "stackwise_dw_kernel_sizes": [[0], [5, 3], [3, 3]],
    "stackwise_dw_start_kernel_sizes": [[0], [3, 0], [0, 0]],
    "stackwise_dw_end_kernel_sizes": [[0], [0, 3], [0, 0]],
    "stackwise_exp_kernel_sizes": [[3], [0, 0], [0, 0]],
    "stackwise_pw_kernel_sizes": [[1], [0, 0], [0, 0]],
    "stackwise_num_heads": [[0], [0, 0], [2, 2]],
    "stackwise_key_dims": [[0], [0, 0], [8, 8]],
    "stackwise_value_dims": [[0], [0, 0], [8, 8]],
    "stackwise_kv_strides": [[0], [0, 0], [2, 1]],
    "stackwise_use_cpe": [[False], [False, False], [False, False]],
    "stem_size": 8,
    "num_features": 32,
}


def mobilenet_v5(**others: Any) -> Part:
    return part("MobileNetV5Backbone", **MOBILENET_V5 | others)


def hgnet(**others: Any) -> Part:
    return part(
        "HGNetV2Backbone",
        depths=[1, 1, 2, 1],
        embedding_size=8,
        hidden_sizes=[16, 16, 24, 32],
        stem_channels=[3, 8, 8],
        hidden_act="relu",
        stackwise_stage_filters=[
            [8, 8, 16, 1, 2, 3],
            [16, 8, 16, 1, 2, 3],
            [16, 8, 24, 2, 2, 5],
            [24, 8, 32, 1, 2, 5],
        ],
        apply_downsample=[False, True, True, True],
        use_lightweight_conv_block=[False, False, True, True],
        **{"use_learnable_affine_block": True} | others,
    )


def hgnet_head(**others: Any) -> Part:
    backbone = hgnet(image_shape=FIXED)
    return part("HGNetV2ImageClassifier", backbone=backbone, preprocessor=None, **TEN, **others)


VGG = part(
    "VGGBackbone", stackwise_num_repeats=[1, 2], stackwise_num_filters=[8, 16], image_shape=FIXED
)
XCEPTION = {
    "stackwise_conv_filters": [[8, 16], [24, 24], [24, 24], [24, 32], [32, 32]],
    "stackwise_pooling": [False, True, False, True, False],
}

VIT = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16}
VIT_BACKBONE = part("ViTBackbone", **VIT, mlp_dim=32, patch_size=16, image_shape=FIXED)
DEIT = part("DeiTBackbone", **VIT, intermediate_dim=32, patch_size=16, image_shape=FIXED)


def mit(**others: Any) -> Part:
    return part(
        "MiTBackbone",
        layerwise_depths=[1, 1, 1, 1],
        num_layers=4,
        layerwise_num_heads=[1, 2, 3, 4],
        layerwise_sr_ratios=[8, 4, 2, 1],
        max_drop_path_rate=0.1,
        layerwise_patch_sizes=[7, 3, 3, 3],
        layerwise_strides=[4, 2, 2, 2],
        hidden_dims=[8, 16, 24, 32],
        **others,
    )


def dinov2(**others: Any) -> Part:
    shapes = {"image_shape": FIXED, "position_embedding_shape": FIXED}
    return part("DINOV2Backbone", **VIT, intermediate_dim=32, patch_size=8, **shapes | others)


def dinov3(**others: Any) -> Part:
    given = {"image_shape": FIXED} | others
    return part("DINOV3Backbone", **VIT, intermediate_dim=32, patch_size=8, **given)


SWIN = part(
    "SwinTransformerBackbone",
    image_shape=FIXED,
    embed_dim=8,
    depths=(2, 2),
    num_heads=(2, 4),
    window_size=4,
)

TEXT = {
    "vocabulary_size": 50,
    "embedding_dim": 16,
    "hidden_dim": 16,
    "num_layers": 2,
    "num_heads": 2,
    "intermediate_dim": 32,
    "max_sequence_length": 12,
}
TOKENS = {"token_ids": (12,), "padding_mask": (12,)}


def vision_encoder(name: str, **others: Any) -> Part:
    given = {"image_shape": FIXED, "patch_size": 16, "intermediate_dim": 32, **VIT}
    return part(f"{name}VisionEncoder", **given | others)


def pair(name: str, **others: Any) -> Part:
    text = part(f"{name}TextEncoder", **TEXT)
    vision = vision_encoder(name)
    return part(f"{name}Backbone", vision_encoder=vision, text_encoder=text, **others)


def deeplab(**others: Any) -> Part:
    encoder = resnet("bottleneck_block")
    given = {"spatial_pyramid_pooling_key": "P5", "upsampling_size": 8, "dilation_rates": [6, 12]}
    return part("DeepLabV3Backbone", image_encoder=encoder, **given | others)


def retinanet(**others: Any) -> Part:
    encoder = resnet("bottleneck_block")
    given = {"min_level": 3, "max_level": 5, "use_p5": False}
    return part("RetinaNetBackbone", image_encoder=encoder, **given | others)


def vit_det(**others: Any) -> Part:
    given = {
        "hidden_size": 16,
        "num_layers": 2,
        "intermediate_dim": 32,
        "num_heads": 2,
        "global_attention_layer_indices": [1],
        "image_shape": FIXED,
        "patch_size": 16,
        "num_output_channels": 8,
        "window_size": 2,
    }
    return part("ViTDetBackbone", **given | others)


SAM = part(
    "SAMBackbone",
    image_encoder=vit_det(image_shape=(128, 128, 3)),
    prompt_encoder=part(
        "SAMPromptEncoder", hidden_size=8, image_embedding_size=(8, 8), input_image_size=(128, 128)
    ),
    mask_decoder=part(
        "SAMMaskDecoder",
        num_layers=2,
        hidden_size=8,
        intermediate_dim=32,
        num_heads=4,
        embedding_dim=8,
        iou_head_hidden_dim=8,
    ),
)
PROMPTS = {"points": (1,), "labels": (1,), "boxes": (1,), "masks": (1, 32, 32)}

SAM3_SHAPES = {"image_shape": (224, 224, 3), "patch_size": 14}
SAM3_LAYERS = {"num_layers": 2, "hidden_dim": 16, "intermediate_dim": 32, "num_heads": 2}
SAM3 = part(
    "SAM3PromptableConceptBackbone",
    vision_encoder=part(
        "SAM3VisionEncoder",
        **SAM3_SHAPES,
        **SAM3_LAYERS,
        fpn_hidden_dim=16,
        fpn_scale_factors=[4.0, 2.0, 1.0, 0.5],
        pretrain_image_shape=(112, 112, 3),
        window_size=2,
        global_attn_indexes=[1],
    ),
    text_encoder=part("SAM3TextEncoder", vocabulary_size=50, embedding_dim=16, **SAM3_LAYERS),
    geometry_encoder=part("SAM3GeometryEncoder", **SAM3_LAYERS, roi_size=7),
    detr_encoder=part("SAM3DetrEncoder", **SAM3_LAYERS),
    detr_decoder=part("SAM3DetrDecoder", **SAM3_SHAPES, **SAM3_LAYERS, num_queries=8),
    mask_decoder=part("SAM3MaskDecoder", num_upsampling_stages=3, hidden_dim=16, num_heads=2),
)

DFINE = part(
    "DFineBackbone",
    backbone=hgnet(image_shape=(None, None, 3), out_features=["stage3", "stage4"]),
    decoder_in_channels=[16, 16],
    encoder_hidden_dim=16,
    num_denoising=0,
    num_labels=5,
    hidden_dim=16,
    learn_initial_query=False,
    num_queries=10,
    anchor_image_size=(128, 128),
    feat_strides=[16, 32],
    num_feature_levels=2,
    encoder_in_channels=[24, 32],
    encode_proj_layers=[1],
    num_attention_heads=2,
    encoder_ffn_dim=32,
    num_encoder_layers=1,
    hidden_expansion=0.34,
    depth_multiplier=0.5,
    eval_idx=-1,
    num_decoder_layers=2,
    decoder_attention_heads=2,
    decoder_ffn_dim=32,
    decoder_n_points=[3, 3],
    lqe_hidden_dim=8,
    num_lqe_layers=2,
    out_features=["stage3", "stage4"],
    image_shape=(128, 128, 3),
    seed=0,
)

DEPTH = part(
    "DepthAnythingBackbone",
    image_encoder=part(
        "DINOV2Backbone",
        **VIT | {"num_layers": 4},
        intermediate_dim=32,
        patch_size=14,
        image_shape=(140, 140, 3),
        position_embedding_shape=(140, 140, 3),
    ),
    reassemble_factors=[4, 2, 1, 0.5],
    neck_hidden_dims=[8, 8, 16, 16],
    fusion_hidden_dim=16,
    head_hidden_dim=8,
    head_in_index=-1,
    feature_keys=["stage1", "stage2", "stage3", "stage4"],
)

PARSEQ = part(
    "PARSeqBackbone",
    image_encoder=part(
        "ViTBackbone",
        **VIT,
        mlp_dim=32,
        patch_size=(4, 8),
        image_shape=(32, 64, 3),
        use_class_token=False,
    ),
    vocabulary_size=20,
    max_label_length=8,
    decoder_hidden_dim=16,
    num_decoder_layers=1,
    num_decoder_heads=2,
    decoder_mlp_dim=32,
)


def classifier(name: str, backbone: Part, **others: Any) -> Part:
    return part(f"{name}ImageClassifier", backbone=backbone, **TEN, **others)
