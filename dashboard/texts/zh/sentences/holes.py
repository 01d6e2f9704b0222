"""句子里的空处会出现的词。"""

WORDS: dict[str, str] = {
    "method": "方法",
    "metric": "指标",
    "prune": "剪枝",
    "quantize": "量化",
    "distill": "蒸馏",
    "classifiers": "分类模型",
    "encoder-decoders": "编码器—解码器模型",
    "none": "没有",
    "run": "运行",
    "export": "导出",
    "sensitivity": "敏感度",
    "profile": "细看的结果",
    "bundled": "自带的",
    "layer {}": "第 {} 层",
    "layers {}": "第 {} 层",
    "onnxruntime, {}": "onnxruntime，{}",
    "torch, {}": "torch，{}",
    "torchao, {}": "torchao，{}",
}

SYSTEM: dict[str, str] = {  # 操作系统说的原因
    "No space left on device": "磁盘空间已满",
    "Disk quota exceeded": "超出磁盘配额",
    "Permission denied": "没有权限",
    "Operation not permitted": "不允许这样做",
    "Read-only file system": "文件系统只读",
    "No such file or directory": "没有这个文件或文件夹",
    "File exists": "已有同名文件",
    "Is a directory": "是文件夹",
    "Not a directory": "不是文件夹",
    "File name too long": "文件名太长",
    "Input/output error": "读写出错",
}
