"""What others' incremental ingest is, as programs for a Python that has them. Each speaks the protocol of `ingest_sides`.

They are used as their documentation shows it for a source that is read as a whole: LangChain's `index()` with `cleanup="full"` and
a record manager in SQLite, LlamaIndex's `IngestionPipeline` with a document store and `upserts_and_delete`; both into Chroma on the
disk. With a `watermark` they read what `updated_at` tells, as is usual where a table is too large to be read as a whole.
"""

from __future__ import annotations

_COMMON = """
import hashlib, json, os, sys, time
out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
import psycopg
asked = json.loads(sys.stdin.readline())

class Rows:
    def __init__(self):
        self.newest = None
    def read(self):
        where, values = "", []
        if asked["watermark"] and self.newest is not None:
            where, values = " WHERE updated_at > %s", [self.newest]
        with psycopg.connect(asked["dsn"]) as connection:
            cursor = connection.execute("SELECT * FROM " + asked["table"] + where, values)
            names = [column.name for column in cursor.description]
            for row in cursor:
                value = dict(zip(names, row))
                if asked["watermark"]:
                    self.newest = max(filter(None, (self.newest, value.pop("updated_at"))))
                yield str(value[asked["key"]]), "\\n".join(f"{name}: {one}" for name, one in value.items() if one is not None)

def fake(text):
    digest = hashlib.sha256(text.encode()).digest()
    return [byte / 255 for byte in digest]

def serve(make, *packages):
    from importlib.metadata import version
    side = None
    versions = {} if asked["watermark"] else {name: version(name) for name in packages}
    print(json.dumps({"versions": versions}), file=out, flush=True)
    for line in sys.stdin:
        call = json.loads(line)
        if call["op"] == "open":
            side, said = make(call["folder"]), {}
        elif call["op"] == "sync":
            began, used = time.perf_counter(), time.process_time()
            side.sync()
            said = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - used}
        else:
            said = {"held": side.held()}
        print(json.dumps(said), file=out, flush=True)
"""

LANGCHAIN = (
    _COMMON
    + """
from langchain_chroma import Chroma
from langchain_classic.indexes import SQLRecordManager
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import index
from langchain_text_splitters import RecursiveCharacterTextSplitter

class Fake(Embeddings):
    def embed_documents(self, texts):
        return [fake(text) for text in texts]
    def embed_query(self, text):
        return fake(text)

if asked["model"]:
    from langchain_huggingface import HuggingFaceEmbeddings
    from transformers import AutoTokenizer
    embedder = HuggingFaceEmbeddings(model_name=asked["model"], encode_kwargs={"normalize_embeddings": True})
    embedder.embed_documents(["ready"])
    tokenizer = AutoTokenizer.from_pretrained(asked["model"])
    sizes = {"chunk_size": asked["tokens"], "chunk_overlap": asked["overlap"]}
    splitter = RecursiveCharacterTextSplitter.from_huggingface_tokenizer(tokenizer, **sizes)
else:
    embedder, splitter = Fake(), RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=0)

class Side:
    def __init__(self, folder):
        self.rows = Rows()
        self.store = Chroma("bench", embedder, persist_directory=folder + "/chroma")
        self.records = SQLRecordManager("bench", db_url="sqlite:///" + folder + "/records.db")
        self.records.create_schema()
    def sync(self):
        documents = [Document(page_content=text, metadata={"source": key}) for key, text in self.rows.read()]
        index(splitter.split_documents(documents), self.records, self.store, source_id_key="source", key_encoder="blake2b",
              cleanup="incremental" if asked["watermark"] else "full")
    def held(self):
        found = self.store.get()
        return [[meta["source"], text] for meta, text in zip(found["metadatas"], found["documents"])]

serve(
    Side, "langchain-core", "langchain-classic", "langchain-chroma", "langchain-huggingface", "chromadb", "sentence-transformers", "torch",
)
"""
)

LLAMA_INDEX = (
    _COMMON
    + """
import chromadb
from llama_index.core import Document
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.vector_stores.chroma import ChromaVectorStore

class Fake(BaseEmbedding):
    def _get_text_embedding(self, text):
        return fake(text)
    def _get_query_embedding(self, query):
        return fake(query)
    async def _aget_query_embedding(self, query):
        return fake(query)

if asked["model"]:
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding
    from transformers import AutoTokenizer
    embedder = HuggingFaceEmbedding(model_name=asked["model"], normalize=True, embed_batch_size=32)
    embedder.get_text_embedding("ready")
    tokenizer = AutoTokenizer.from_pretrained(asked["model"])
    splitter = SentenceSplitter(chunk_size=asked["tokens"], chunk_overlap=asked["overlap"], tokenizer=tokenizer.tokenize)
else:
    embedder, splitter = Fake(), SentenceSplitter(chunk_size=1000, chunk_overlap=0)

class Side:
    def __init__(self, folder):
        self.rows, self.folder = Rows(), folder + "/pipeline"
        self.collection = chromadb.PersistentClient(folder + "/chroma").get_or_create_collection("bench")
        self.pipeline = IngestionPipeline(
            transformations=[splitter, embedder],
            vector_store=ChromaVectorStore(chroma_collection=self.collection),
            docstore=SimpleDocumentStore(),
            docstore_strategy=DocstoreStrategy.UPSERTS if asked["watermark"] else DocstoreStrategy.UPSERTS_AND_DELETE,
        )
    def sync(self):
        self.pipeline.run(documents=[Document(text=text, id_=key) for key, text in self.rows.read()])
        self.pipeline.persist(self.folder)
    def held(self):
        found = self.collection.get()
        return [[meta["document_id"], text] for meta, text in zip(found["metadatas"], found["documents"])]

serve(
    Side, "llama-index-core", "llama-index-vector-stores-chroma", "llama-index-embeddings-huggingface", "chromadb",
    "sentence-transformers", "torch",
)
"""
)

NEEDS = {
    "LangChain": ("langchain_chroma", "langchain_classic", "langchain_huggingface", "psycopg"),
    "LlamaIndex": ("llama_index.vector_stores.chroma", "llama_index.embeddings.huggingface", "psycopg"),
}
PROGRAMS = {"LangChain": LANGCHAIN, "LlamaIndex": LLAMA_INDEX}
