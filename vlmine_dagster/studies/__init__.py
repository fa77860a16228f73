"""Studies: questions about mining, each one command, one Dagster job, and one MLflow run with its arms nested."""

QUESTIONS: dict[str, str] = {
    "draws": "Which experiments find more of the tail, whatever the labelled seed?",
    "correlation": "Which signals measure the same thing, and does that hold in the tail too?",
    "orthogonality": "Do novelty and uncertainty find the same few-shot images, or each what the other misses?",
    "pooling": "Is the minimum or the mean of keyword counts better on classes that are known to be rare?",
    "keyworders": "Which keyworder finds more of the tail, and should counts be pooled by their minimum or mean?",
    "describers": "Which way to describe the pool finds more of the tail?",
    "prompts": "How much does the mined set depend on the prompt, or on any other way of asking?",
    "retraining": "Does a model learn more of the tail from what an experiment mined, whatever the labelled seed?",
    "selectors": "Which selector of the field finds more of the tail, more classes, and teaches a probe more?",
    "efficiency": "How many labels does a selector need for the balanced accuracy of many random labels?",
    "cold_start": "Nothing is labelled: what do ten rounds of 50 labels find?",
    "unseen": "Are few-shot classes without any labelled image found, with and without their names?",
    "detection": "How many rare objects, images with one, and rare classes does labelling a list's images reach?",
    "detector": "Does a small detector find more of the rare classes once the images of a list are labelled?",
    "driving": "Do keywords of camera pictures find more of the rare objects in space than a 3D detector's own doubt?",
    "verify": "Would a person call the mined images rare, more often than images drawn at random?",
}
"""What each study asks, by name; its module, of the same name, is imported when it is done."""
