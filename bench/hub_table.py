"""The vision models of KerasHub and kimm that bench/hub.py converts, one row each."""

from __future__ import annotations

from dataclasses import dataclass, field

from hub_parts import (
    DEIT,
    DENSENET,
    DEPTH,
    DFINE,
    FIXED,
    MOBILENET,
    MOBILENET_FIXED,
    OPEN,
    PARSEQ,
    PROMPTS,
    RESNET,
    SAM,
    SAM3,
    SWIN,
    TEN,
    TOKENS,
    V1,
    VGG,
    VIT_BACKBONE,
    WIDE,
    XCEPTION,
    Part,
    classifier,
    cspnet,
    deeplab,
    dinov2,
    dinov3,
    efficientnet,
    hgnet,
    hgnet_head,
    mit,
    mobilenet_v5,
    pair,
    part,
    resnet,
    resnet_d,
    retinanet,
    vision_encoder,
    vit_det,
)


@dataclass(frozen=True, slots=True)
class Row:
    """A model, and the extents of its inputs' open axes."""

    title: str
    model: Part
    sizes: tuple[tuple[int, int], ...] = ()
    """Heights and widths of images whose size is open; each is tried."""
    open: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """The extents of the open axes of other inputs, by name."""
    batches: tuple[int, ...] = (2, 1, 3)


HUB = (
    Row("ResNetBackbone, basic", resnet("basic_block"), OPEN),
    Row("ResNetBackbone, bottleneck", resnet("bottleneck_block"), OPEN),
    Row("ResNetBackbone, v2", resnet("bottleneck_block", use_pre_activation=True), OPEN),
    Row("ResNetBackbone, vd", resnet_d("bottleneck_block_vd"), OPEN),
    Row("ResNetBackbone, fixed", resnet("basic_block", image_shape=FIXED)),
    Row("ResNetImageClassifier", classifier("ResNet", resnet("basic_block")), OPEN),
    Row("DenseNetBackbone", DENSENET, OPEN),
    Row("DenseNetImageClassifier", classifier("DenseNet", DENSENET), OPEN),
    Row("CSPNetBackbone, dark", cspnet("dark_block", "csp"), OPEN),
    Row("CSPNetBackbone, bottleneck", cspnet("bottleneck_block", "csp", groups=2), OPEN),
    Row("CSPNetBackbone, edge", cspnet("edge_block", "cs3"), OPEN),
    Row("CSPNetBackbone, DarkNet", cspnet("dark_block", "dark", **WIDE), OPEN),
    Row("CSPNetImageClassifier", classifier("CSPNet", cspnet("dark_block", "csp")), OPEN),
    Row("EfficientNetBackbone, v1", efficientnet(["v1"] * 3, **V1), OPEN),
    Row("EfficientNetBackbone, v2", efficientnet(["fused", "unfused", "unfused"]), OPEN),
    Row("EfficientNetBackbone, cba", efficientnet(["cba", "fused", "unfused"]), OPEN),
    Row("EfficientNetImageClassifier", classifier("EfficientNet", efficientnet(["v1"] * 3)), OPEN),
    Row("MobileNetBackbone", part("MobileNetBackbone", **MOBILENET), OPEN),
    Row("MobileNetBackbone, fixed", MOBILENET_FIXED),
    Row("MobileNetImageClassifier", classifier("MobileNet", MOBILENET_FIXED, num_features=24)),
    Row("MobileNetV5Backbone", mobilenet_v5(use_msfa=False, image_shape=FIXED)),
    Row("MobileNetV5Backbone, fusion", mobilenet_v5(msfa_output_resolution=8, image_shape=FIXED)),
    Row("MobileNetV5Backbone, open", mobilenet_v5(use_msfa=False), OPEN),
    Row(
        "MobileNetV5ImageClassifier",
        classifier(
            "MobileNetV5", mobilenet_v5(use_msfa=False, image_shape=FIXED), head_hidden_size=24
        ),
    ),
    Row("HGNetV2Backbone", hgnet(image_shape=FIXED)),
    Row("HGNetV2Backbone, open", hgnet(), OPEN),
    Row("HGNetV2Backbone, plain", hgnet(use_learnable_affine_block=False, image_shape=FIXED)),
    Row("HGNetV2ImageClassifier", hgnet_head()),
    Row("HGNetV2ImageClassifier, filters", hgnet_head(head_filters=16)),
    Row("VGGBackbone", VGG),
    Row("VGGImageClassifier", classifier("VGG", VGG, pooling_hidden_dim=16)),
    Row("VGGImageClassifier, flatten", classifier("VGG", VGG, pooling="flatten")),
    Row("XceptionBackbone", part("XceptionBackbone", **XCEPTION), OPEN),
    Row(
        "XceptionImageClassifier",
        classifier("Xception", part("XceptionBackbone", **XCEPTION)),
        OPEN,
    ),
    Row("ViTBackbone", VIT_BACKBONE),
    Row("ViTImageClassifier", classifier("ViT", VIT_BACKBONE)),
    Row("ViTImageClassifier, gap", classifier("ViT", VIT_BACKBONE, pooling="gap")),
    Row("DeiTBackbone", DEIT),
    Row("DeiTImageClassifier", classifier("DeiT", DEIT)),
    Row("SwinTransformerBackbone", SWIN),
    Row("SwinTransformerImageClassifier", classifier("SwinTransformer", SWIN)),
    Row("MiTBackbone", mit(image_shape=FIXED)),
    Row("MiTImageClassifier", classifier("MiT", mit(image_shape=FIXED))),
    Row(
        "SegFormerBackbone",
        part("SegFormerBackbone", image_encoder=mit(image_shape=FIXED), projection_filters=16),
    ),
    Row(
        "SegFormerImageSegmenter",
        part(
            "SegFormerImageSegmenter",
            backbone=part(
                "SegFormerBackbone", image_encoder=mit(image_shape=FIXED), projection_filters=16
            ),
            **TEN,
        ),
    ),
    Row("DINOV2Backbone", dinov2()),
    Row("DINOV2Backbone, registers", dinov2(num_register_tokens=2, use_swiglu_ffn=True)),
    Row("DINOV2Backbone, resized", dinov2(position_embedding_shape=(48, 48, 3))),
    Row("DINOV3Backbone", dinov3()),
    Row("DINOV3Backbone, gated", dinov3(use_gated_mlp=True, num_register_tokens=0)),
    Row("DepthAnythingBackbone", DEPTH),
    Row(
        "DepthAnythingDepthEstimator",
        part("DepthAnythingDepthEstimator", backbone=DEPTH, depth_estimation_type="relative"),
    ),
    Row("CLIPVisionEncoder", vision_encoder("CLIP")),
    Row("CLIPBackbone", pair("CLIP", projection_dim=16), open=TOKENS),
    Row("MetaCLIP2VisionEncoder", vision_encoder("MetaCLIP2")),
    Row("MetaCLIP2Backbone", pair("MetaCLIP2", projection_dim=16), open=TOKENS),
    Row("SigLIPVisionEncoder", vision_encoder("SigLIP")),
    Row("SigLIPBackbone", pair("SigLIP"), open=TOKENS),
    Row("DeepLabV3Backbone", deeplab(), OPEN),
    Row("DeepLabV3Backbone, plus", deeplab(low_level_feature_key="P2", projection_filters=8), OPEN),
    Row("DeepLabV3Backbone, fixed", deeplab(image_shape=FIXED)),
    Row(
        "DeepLabV3ImageSegmenter", part("DeepLabV3ImageSegmenter", backbone=deeplab(), **TEN), OPEN
    ),
    Row(
        "BASNetImageSegmenter",
        part(
            "BASNetImageSegmenter",
            backbone=part(
                "BASNetBackbone",
                image_encoder=part(
                    "ResNetBackbone",
                    **RESNET | {"stackwise_num_filters": [64, 128, 256, 512]},
                    block_type="basic_block",
                ),
                num_classes=1,
                projection_filters=64,
                image_shape=FIXED,
            ),
        ),
    ),
    Row("RetinaNetBackbone", retinanet(image_shape=(128, 128, 3))),
    Row("RetinaNetBackbone, open", retinanet(use_fpn_batch_norm=True), ((128, 128), (128, 192))),
    Row(
        "RetinaNetObjectDetector",
        part(
            "RetinaNetObjectDetector",
            backbone=retinanet(image_shape=(128, 128, 3)),
            pre_logits_num_conv_layers=1,
            **TEN,
        ),
    ),
    Row("ViTDetBackbone", vit_det()),
    Row("ViTDetBackbone, windows padded", vit_det(window_size=3)),
    Row("SAMBackbone", SAM, open=PROMPTS),
    Row("SAMImageSegmenter", part("SAMImageSegmenter", backbone=SAM), open=PROMPTS),
    Row(
        "SAM3PromptableConceptBackbone",
        SAM3,
        open={"token_ids": (32,), "padding_mask": (32,), "boxes": (1,), "box_labels": (1,)},
        batches=(1,),  # KerasHub 0.32 fails on others
    ),
    Row("DFineBackbone", DFINE),
    Row("DFineObjectDetector", part("DFineObjectDetector", backbone=DFINE, num_classes=5)),
    Row("PARSeqBackbone", PARSEQ, open={"token_ids": (8,), "padding_mask": (8,)}),
    Row(
        "VideoPrismBackbone",
        part(
            "VideoPrismBackbone",
            num_frames=2,
            patch_size=16,
            hidden_dim=16,
            intermediate_dim=32,
            num_heads=2,
            num_spatial_layers=1,
            num_temporal_layers=1,
            num_auxiliary_layers=1,
            image_shape=FIXED,
        ),
    ),
)
"""One row a model."""

KIMM = (
    *("ConvMixer736D32", "ConvNeXtAtto", "DenseNet121", "EfficientNetB0", "EfficientNetLiteB0"),
    *("EfficientNetV2B0", "EfficientNetV2S", "GhostNetV2W100", "GhostNetV3W050", "GhostNetW050"),
    *("HGNetTiny", "HGNetV2B0", "HGNetV2B4", "InceptionNeXtTiny", "InceptionV3", "LCNet035"),
    *("MobileNetV2W050", "MobileNetV3W050Small", "MobileNetV3W100Large"),
    *("MobileNetV3W100SmallMinimal", "MobileOneS0", "MobileOneS1", "MobileViTS", "MobileViTV2W050"),
    *("MobileViTXXS", "RegNetX002", "RegNetY002", "RepVGGA0", "ResNet18", "ResNet50", "TinyNetE"),
    *("VGG11", "VisionTransformerTiny32", "Xception"),
)
"""Of each family of kimm the smallest models, at whatever depth it gives them."""

KIMM_ARGUMENTS = {"weights": None, "classes": 10}
KIMM_SIZES = {"InceptionV3": (96, 96, 3), "Xception": (96, 96, 3)}
"""Input shapes of those that take no image of `FIXED`."""
